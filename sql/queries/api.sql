-- name: lock_key
-- Held until the transaction ends; false when another request holds it.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(user_id)s::text || ' ' || %(key)s, 0))

-- name: find_key
SELECT fingerprint, status, headers, body FROM idempotency_keys
WHERE user_id = %(user_id)s AND key = %(key)s

-- name: keep_answer
INSERT INTO idempotency_keys (user_id, key, fingerprint, status, headers, body)
VALUES (%(user_id)s, %(key)s, %(fingerprint)s, %(status)s, %(headers)s, %(body)s)
