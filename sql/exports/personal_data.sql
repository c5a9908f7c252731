-- name: exports
SELECT e.format, e.filters, e.created_at, t.completed_at, t.expires_at
FROM exports e JOIN job_tickets t ON t.id = e.id
WHERE e.user_id = %(user_id)s ORDER BY e.created_at
