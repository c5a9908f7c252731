-- name: sessions
SELECT started_at, host, agent FROM sessions WHERE user_id = %(user_id)s ORDER BY started_at

-- name: api_tokens
SELECT name, scopes, created_at, expires_at, last_used_at FROM api_tokens
WHERE user_id = %(user_id)s ORDER BY created_at
