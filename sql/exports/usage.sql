-- name: export_bytes
SELECT coalesce(sum((t.result ->> 'file_size')::bigint), 0)
FROM exports e JOIN job_tickets t ON t.id = e.id
WHERE e.user_id = %(user_id)s AND e.removed_at IS NULL AND t.completed_at IS NOT NULL
