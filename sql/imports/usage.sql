-- name: imports_today
SELECT count(*) FROM imports WHERE user_id = %(user_id)s AND created_at > now() - interval '1 day'
