-- name: webhook_deliveries
DELETE FROM webhook_deliveries WHERE id IN (
    SELECT id FROM webhook_deliveries WHERE created_at < %(now)s::timestamptz - interval '30 days'
    ORDER BY created_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)
