-- name: activities
SELECT w.user_id, (SELECT count(*) FROM activities a WHERE a.user_id = w.user_id AND a.deleted_at IS NULL)
FROM unnest(%(user_ids)s::bigint[]) AS w (user_id)

-- name: photo_bytes
SELECT w.user_id, (SELECT coalesce(sum(p.size), 0)::bigint FROM photos p WHERE p.user_id = w.user_id)
FROM unnest(%(user_ids)s::bigint[]) AS w (user_id)
