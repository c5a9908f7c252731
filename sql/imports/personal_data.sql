-- name: imports
SELECT i.created_at, i.dry_run, t.completed_at, t.result
FROM imports i JOIN job_tickets t ON t.id = i.id
WHERE i.user_id = %(user_id)s ORDER BY i.created_at

-- name: import_columns
SELECT columns, said_at FROM import_columns WHERE user_id = %(user_id)s ORDER BY said_at
