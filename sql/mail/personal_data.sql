-- name: mails
SELECT kind, state, created_at, finished_at, size FROM mails
WHERE user_id = %(user_id)s ORDER BY id

-- name: mail_preferences
SELECT list, wanted, changed_at FROM mail_preferences
WHERE user_id = %(user_id)s ORDER BY list
