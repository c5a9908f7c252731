-- name: reports
SELECT month, size, created_at FROM reports WHERE user_id = %(user_id)s ORDER BY month
