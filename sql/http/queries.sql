-- name: lock_key
-- Held until the transaction ends; false when another request holds it.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(user_id)s::text || ' ' || %(key)s, 0))

-- name: find_key
SELECT fingerprint, status, headers, body FROM idempotency_keys
WHERE user_id = %(user_id)s AND key = %(key)s

-- name: keep_answer
INSERT INTO idempotency_keys (user_id, key, fingerprint, status, headers, body)
VALUES (%(user_id)s, %(key)s, %(fingerprint)s, %(status)s, %(headers)s, %(body)s)

-- name: new_passwords
-- When somebody got one, in seconds since 1970, as far as older sessions may still be good.
SELECT id, extract(epoch FROM password_changed_at)::double precision FROM users
WHERE password_changed_at > now() - make_interval(hours => %(hours)s)

-- name: visitor
SELECT id, name, email, is_admin FROM users WHERE id = %(user_id)s AND verified_at IS NOT NULL
