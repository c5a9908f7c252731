-- name: idempotency_keys
DELETE FROM idempotency_keys WHERE (user_id, key) IN (
    SELECT user_id, key FROM idempotency_keys WHERE created_at < %(now)s::timestamptz - interval '7 days'
    ORDER BY created_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: sessions
-- They tell for 90 days from where somebody signed in before.
DELETE FROM sessions WHERE (user_id, started_at) IN (
    SELECT user_id, started_at FROM sessions WHERE started_at < %(now)s::timestamptz - interval '90 days'
    ORDER BY started_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: session_endings
-- Of sessions whose tokens are too old by now.
DELETE FROM session_endings WHERE ctid IN (
    SELECT ctid FROM session_endings WHERE at < %(now)s::timestamptz - interval '2 days'
    ORDER BY at LIMIT %(page)s FOR UPDATE SKIP LOCKED)
