-- name: sessions
SELECT started_at, host, agent FROM sessions WHERE user_id = %(user_id)s ORDER BY started_at
