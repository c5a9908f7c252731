-- name: idempotency_keys
DELETE FROM idempotency_keys WHERE (user_id, key) IN (
    SELECT user_id, key FROM idempotency_keys WHERE created_at < %(now)s::timestamptz - interval '7 days'
    ORDER BY created_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)
