-- name: lock_owner
-- Two that come at once are counted one after the other.
SELECT 1 FROM users WHERE id = %(user_id)s FOR NO KEY UPDATE

-- name: add
-- No row: there are ten already.
INSERT INTO webhooks (id, user_id, url, events)
SELECT %(id)s, %(user_id)s, %(url)s, %(events)s
WHERE (SELECT count(*) FROM webhooks WHERE user_id = %(user_id)s) < 10

-- name: webhooks
SELECT id, url, events, created_at, failing_since, disabled_at FROM webhooks
WHERE user_id = %(user_id)s ORDER BY created_at, id

-- name: remove
DELETE FROM webhooks WHERE id = %(id)s AND user_id = %(user_id)s

-- name: enable
UPDATE webhooks SET disabled_at = NULL, failing_since = NULL WHERE id = %(id)s AND user_id = %(user_id)s

-- name: deliveries
SELECT d.id, d.webhook_id, w.url, d.event, d.subject, d.state, d.attempts, d.answer, d.created_at,
       d.finished_at
FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
WHERE d.user_id = %(user_id)s ORDER BY d.created_at DESC, d.id LIMIT 100

-- name: replay
-- As a new delivery of the same event to the same webhook, unless that is disabled.
WITH again AS (
    INSERT INTO webhook_deliveries (webhook_id, user_id, event, subject)
    SELECT d.webhook_id, d.user_id, d.event, d.subject
    FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
    WHERE d.id = %(id)s AND d.user_id = %(user_id)s AND w.disabled_at IS NULL RETURNING id, user_id
)
SELECT procrastinate_defer_jobs_v1(array_agg(ROW(
    'low', 'activelog.webhooks.deliver', 0, 'webhooks of ' || user_id, NULL,
    jsonb_build_object('delivery_id', id), NULL)::procrastinate_job_to_defer_v1))
FROM again HAVING count(*) > 0

-- name: get
SELECT d.id, d.webhook_id, d.user_id, d.event, d.subject, d.created_at, w.url
FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
WHERE d.id = %(id)s AND d.state = 'queued' AND w.disabled_at IS NULL

-- name: succeeded
WITH delivered AS (
    UPDATE webhook_deliveries SET state = 'delivered', answer = %(answer)s, attempts = attempts + 1,
        finished_at = now()
    WHERE id = %(id)s RETURNING webhook_id
)
UPDATE webhooks w SET failing_since = NULL FROM delivered
WHERE w.id = delivered.webhook_id AND w.failing_since IS NOT NULL

-- name: drop
-- It says nothing of whether the webhook works.
UPDATE webhook_deliveries SET state = 'failed', answer = %(answer)s, finished_at = now()
WHERE id = %(id)s AND state = 'queued'

-- name: is_disabled
SELECT w.disabled_at IS NOT NULL FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id
WHERE d.id = %(id)s AND d.user_id = %(user_id)s

-- name: failed
-- Returns true when the webhook is disabled by it: attempts have failed for days, or nobody is there.
WITH noted AS (
    UPDATE webhook_deliveries SET answer = %(answer)s, attempts = attempts + 1,
        state = CASE WHEN %(is_last)s THEN 'failed' ELSE state END,
        finished_at = CASE WHEN %(is_last)s THEN now() END
    WHERE id = %(id)s AND state = 'queued' RETURNING webhook_id  -- a run that was thought dead is late
)
UPDATE webhooks w
SET failing_since = coalesce(failing_since, now()),
    disabled_at = CASE WHEN %(is_gone)s OR failing_since < now() - interval '3 days' THEN now() END
FROM noted WHERE w.id = noted.webhook_id AND w.disabled_at IS NULL
RETURNING w.disabled_at IS NOT NULL

-- name: give_up
-- What waits for a webhook that was disabled.
UPDATE webhook_deliveries SET state = 'failed', answer = 'the webhook was disabled', finished_at = now()
WHERE webhook_id = %(webhook_id)s AND state = 'queued'
