-- name: exports
-- Those that can be downloaded.
SELECT e.object_key FROM exports e JOIN job_tickets t ON t.id = e.id
WHERE e.object_key > %(after)s AND e.removed_at IS NULL AND t.completed_at IS NOT NULL
ORDER BY e.object_key LIMIT %(page)s
