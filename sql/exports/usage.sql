-- name: export_bytes
SELECT w.user_id, (
    SELECT coalesce(sum((t.result ->> 'file_size')::bigint), 0)::bigint
    FROM exports e JOIN job_tickets t ON t.id = e.id
    WHERE e.user_id = w.user_id AND e.removed_at IS NULL AND t.completed_at IS NOT NULL)
FROM unnest(%(user_ids)s::bigint[]) AS w (user_id)
