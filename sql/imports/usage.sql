-- name: imports_today
SELECT w.user_id, (
    SELECT count(*) FROM imports i
    WHERE i.user_id = w.user_id AND i.created_at > now() - interval '1 day')
FROM unnest(%(user_ids)s::bigint[]) AS w (user_id)
