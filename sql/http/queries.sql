-- name: lock_key
-- Held until the transaction ends; false when another request holds it.
SELECT pg_try_advisory_xact_lock(hashtextextended(%(user_id)s::text || ' ' || %(key)s, 0))

-- name: find_key
SELECT fingerprint, status, headers, body FROM idempotency_keys
WHERE user_id = %(user_id)s AND key = %(key)s

-- name: keep_answer
INSERT INTO idempotency_keys (user_id, key, fingerprint, status, headers, body)
VALUES (%(user_id)s, %(key)s, %(fingerprint)s, %(status)s, %(headers)s, %(body)s)

-- name: states
-- Of sessions, in their order: live, over or gone.
SELECT CASE WHEN u.verified_at IS NULL THEN 'gone'
            WHEN s.ended_at IS NOT NULL OR asked.started_at < u.password_changed_at THEN 'over'
            ELSE 'live' END
FROM unnest(%(user_ids)s::bigint[], %(started)s::timestamptz[])
    WITH ORDINALITY AS asked (user_id, started_at, place)
LEFT JOIN users u ON u.id = asked.user_id
LEFT JOIN sessions s ON s.user_id = asked.user_id AND s.started_at = asked.started_at
ORDER BY asked.place

-- name: begin
INSERT INTO sessions (user_id, started_at, host, agent)
VALUES (%(user_id)s, %(started_at)s, %(host)s, %(agent)s) ON CONFLICT DO NOTHING

-- name: end
INSERT INTO sessions AS s (user_id, started_at, ended_at, host, agent)
VALUES (%(user_id)s, %(started_at)s, now(), '', '')
ON CONFLICT (user_id, started_at) DO UPDATE SET ended_at = now() WHERE s.ended_at IS NULL

-- name: open_sessions
SELECT s.started_at, s.host, s.agent FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.user_id = %(user_id)s AND s.ended_at IS NULL
  AND s.started_at > now() - make_interval(hours => %(hours)s)
  AND s.started_at >= coalesce(u.password_changed_at, '-infinity')
ORDER BY s.started_at DESC LIMIT 100

-- name: visitor
SELECT id, name, email, is_admin FROM users WHERE id = %(user_id)s AND verified_at IS NOT NULL
