-- name: write
-- The mail and the job that sends it; neither when that mail was written before.
WITH mail AS (
    INSERT INTO mails (kind, user_id, occasion, message_id)
    VALUES (%(kind)s, %(user_id)s, %(occasion)s, %(message_id)s)
    ON CONFLICT DO NOTHING RETURNING id
)
SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
    %(queue)s, %(task)s, 0, NULL, NULL, %(args)s, NULL
)::procrastinate_job_to_defer_v1])) FROM mail

-- name: claim
-- Also for a job that was deferred by hand and has no mail yet. No row when it is sent or failed.
INSERT INTO mails AS m (kind, user_id, occasion, message_id, state, attempts, claimed_at)
VALUES (%(kind)s, %(user_id)s, %(occasion)s, %(message_id)s, 'sending', 1, now())
ON CONFLICT (user_id, kind, occasion) DO UPDATE
    SET state = 'sending', attempts = m.attempts + 1, claimed_at = now()
    WHERE m.state IN ('queued', 'sending')
RETURNING id, message_id

-- name: finish
UPDATE mails SET state = %(state)s, answer = %(answer)s, size = %(size)s, finished_at = now()
WHERE id = %(id)s AND state = 'sending'

-- name: skip
UPDATE mails SET state = 'skipped', finished_at = now()
WHERE user_id = %(user_id)s AND kind = %(kind)s AND occasion = %(occasion)s AND state = 'queued'

-- name: recipient
SELECT name, email FROM users WHERE id = %(user_id)s
