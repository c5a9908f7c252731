-- name: profile
SELECT id, email, name, zone, units, week_start, language, created_at, verified_at, delete_after FROM users
WHERE id = %(user_id)s
