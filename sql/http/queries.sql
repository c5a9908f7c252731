-- name: lock_key
-- Held until the transaction ends; false when another request holds it.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(user_id)s::text || ' ' || %(key)s, 0))

-- name: find_key
SELECT fingerprint, status, headers, body FROM idempotency_keys
WHERE user_id = %(user_id)s AND key = %(key)s

-- name: keep_answer
INSERT INTO idempotency_keys (user_id, key, fingerprint, status, headers, body)
VALUES (%(user_id)s, %(key)s, %(fingerprint)s, %(status)s, %(headers)s, %(body)s)

-- name: endings
-- Of sessions, as far as their tokens may still be good. (Those that were written at the same time may
-- become visible a little later.)
SELECT user_id, started_at, at FROM session_endings
WHERE at > greatest(now() - make_interval(hours => %(hours)s),
                    coalesce(%(since)s::timestamptz, '-infinity') - interval '5 seconds')
ORDER BY at

-- name: begin
-- Whether its device is new. (Not of those who sign in for the first time, nor of sessions from before
-- devices were known.)
WITH begun AS (
    INSERT INTO sessions (user_id, started_at, host, agent, device)
    VALUES (%(user_id)s, %(started_at)s, %(host)s, %(agent)s, %(device)s) ON CONFLICT DO NOTHING
)
SELECT count(*) > 0 AND NOT bool_or(device = %(device)s)
FROM sessions WHERE user_id = %(user_id)s AND device IS NOT NULL

-- name: end
INSERT INTO session_endings (user_id, started_at) VALUES (%(user_id)s, %(started_at)s)

-- name: open_sessions
SELECT s.started_at, s.host, s.agent FROM sessions s
WHERE s.user_id = %(user_id)s AND s.started_at > now() - make_interval(hours => %(hours)s)
  AND NOT EXISTS (SELECT FROM session_endings e WHERE e.user_id = s.user_id
                   AND (e.started_at = s.started_at OR e.started_at IS NULL AND e.at > s.started_at))
ORDER BY s.started_at DESC LIMIT 100

-- name: visitor
SELECT id, name, email, is_admin, zone, units, week_start, delete_after FROM users
WHERE id = %(user_id)s AND verified_at IS NOT NULL

-- name: is_admin
SELECT true FROM users WHERE id = %(user_id)s AND verified_at IS NOT NULL AND is_admin

-- name: token
-- Whose it is and what for. When it was used last is written once a minute.
WITH found AS (
    SELECT t.user_id, t.name, t.scopes, t.last_used_at FROM api_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.token_hash = %(token_hash)s AND u.verified_at IS NOT NULL
      AND coalesce(t.expires_at, 'infinity') > now()
),
used AS (
    UPDATE api_tokens SET last_used_at = now() WHERE (user_id, name) IN (
        SELECT user_id, name FROM api_tokens WHERE token_hash = %(token_hash)s
          AND coalesce(last_used_at, '-infinity') < now() - interval '1 minute' FOR UPDATE SKIP LOCKED)
)
SELECT user_id, scopes FROM found

-- name: tokens
SELECT name, scopes, created_at, expires_at, last_used_at FROM api_tokens
WHERE user_id = %(user_id)s ORDER BY created_at DESC

-- name: lock_owner
-- Two that come at once are counted one after the other.
SELECT 1 FROM users WHERE id = %(user_id)s FOR NO KEY UPDATE

-- name: add_token
-- No row: there are fifty already.
INSERT INTO api_tokens (user_id, name, scopes, token_hash, expires_at)
SELECT %(user_id)s, %(name)s, %(scopes)s, %(token_hash)s, %(expires_at)s
WHERE (SELECT count(*) FROM api_tokens WHERE user_id = %(user_id)s) < 50

-- name: remove_token
DELETE FROM api_tokens WHERE user_id = %(user_id)s AND name = %(name)s
