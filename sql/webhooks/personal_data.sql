-- name: webhooks
SELECT url, events, created_at, disabled_at FROM webhooks WHERE user_id = %(user_id)s ORDER BY created_at

-- name: webhook_deliveries
SELECT w.url, d.event, d.subject, d.state, d.answer, d.created_at, d.finished_at
FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
WHERE d.user_id = %(user_id)s ORDER BY d.created_at
