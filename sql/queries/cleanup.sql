-- name: retire_jobs
-- One page: deletes those of its jobs that ended long enough ago. No last_id: the walk is over,
-- since there are no more jobs or they were deferred too lately to be old.
WITH page AS (
    SELECT j.id, j.status,
           (SELECT max(e.at) FROM procrastinate_events e
            WHERE e.job_id = j.id AND e.type <> 'scheduled') AS ended_at
    FROM procrastinate_jobs j WHERE j.id > %(after)s ORDER BY j.id LIMIT %(page)s
),
retired AS (
    DELETE FROM procrastinate_jobs j USING page p
    WHERE j.id = p.id AND p.ended_at < now() - CASE
        WHEN p.status = 'succeeded' THEN make_interval(days => %(succeeded_days)s)
        WHEN p.status IN ('failed', 'aborted', 'cancelled')
            THEN make_interval(days => %(failed_days)s) END
    RETURNING j.id
),
first AS (
    SELECT min(e.at) AS deferred_at FROM procrastinate_events e
    WHERE e.job_id = (SELECT min(id) FROM page) AND e.type = 'deferred'
)
SELECT CASE WHEN first.deferred_at
                 > now() - make_interval(days => least(%(succeeded_days)s, %(failed_days)s))
            THEN NULL ELSE (SELECT max(id) FROM page) END AS last_id,
       (SELECT count(*) FROM retired) AS deleted
FROM first

-- name: delete_activities
-- With their photos' rows, whose objects the sweep finds. Rows that somebody holds wait for the
-- next night.
DELETE FROM activities WHERE id IN (
    SELECT id FROM activities WHERE deleted_at < %(now)s::timestamptz - interval '30 days'
    ORDER BY deleted_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: expired_exports
SELECT e.object_key FROM exports e JOIN job_tickets t ON t.id = e.id
WHERE t.expires_at < %(now)s AND e.removed_at IS NULL ORDER BY t.expires_at LIMIT %(page)s

-- name: mark_removed
UPDATE exports SET removed_at = now() WHERE object_key = ANY (%(keys)s)

-- name: delete_verifications
DELETE FROM verifications WHERE id IN (
    SELECT id FROM verifications WHERE expires_at < %(now)s::timestamptz - interval '7 days'
    LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: delete_unverified
-- Registrations that nobody verified; their mails go with them.
DELETE FROM users WHERE id IN (
    SELECT id FROM users WHERE verified_at IS NULL AND created_at < %(now)s::timestamptz - interval '7 days'
    ORDER BY created_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: delete_keys
DELETE FROM idempotency_keys WHERE (user_id, key) IN (
    SELECT user_id, key FROM idempotency_keys WHERE created_at < %(now)s::timestamptz - interval '7 days'
    ORDER BY created_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: delete_limits
DELETE FROM limits WHERE key IN (
    SELECT key FROM limits WHERE window_ends < %(now)s
    ORDER BY window_ends LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: delete_runs
DELETE FROM schedule_runs WHERE id IN (
    SELECT id FROM schedule_runs
    WHERE started_at < %(now)s::timestamptz - interval '400 days' AND finished_at IS NOT NULL
    ORDER BY started_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: orphans
-- Of these keys those that no row knows.
SELECT k.key FROM unnest(%(keys)s::text[]) AS k (key)
WHERE NOT EXISTS (SELECT FROM exports e JOIN job_tickets t ON t.id = e.id
                  LEFT JOIN procrastinate_jobs j ON j.id = t.job_id
                  WHERE e.object_key = k.key AND e.removed_at IS NULL
                    AND (t.completed_at IS NOT NULL OR t.cancelled_at IS NULL
                         AND (t.job_id IS NULL OR j.status IN ('todo', 'doing'))))
  AND NOT EXISTS (SELECT FROM photos p WHERE p.object_key = k.key)
  AND NOT EXISTS (SELECT FROM reports r WHERE r.object_key = k.key)
  AND NOT EXISTS (SELECT FROM imports i JOIN job_tickets t ON t.id = i.id
                  LEFT JOIN procrastinate_jobs j ON j.id = t.job_id
                  WHERE i.object_key = k.key AND t.completed_at IS NULL AND t.cancelled_at IS NULL
                    AND (t.job_id IS NULL OR j.status IN ('todo', 'doing')))

-- name: close_accounts
-- A page of accounts whose time has come. From here on nobody can sign in and restore them, so what
-- is theirs can go bit by bit; those that a crash left half deleted are found again.
UPDATE users SET verified_at = NULL WHERE id IN (
    SELECT id FROM users WHERE delete_after < %(now)s ORDER BY delete_after LIMIT %(page)s
    FOR UPDATE SKIP LOCKED)
RETURNING id

-- name: delete_accounts_activities
-- A page of them: one account may have millions.
DELETE FROM activities WHERE id IN (
    SELECT id FROM activities WHERE user_id = ANY (%(user_ids)s) LIMIT %(page)s)

-- name: delete_accounts_jobs
-- What is left of the accounts in job rows: ids in arguments, and errors. It reads all jobs, once
-- for a page of accounts.
WITH ids AS (
    SELECT id::text FROM unnest(%(user_ids)s::bigint[]) AS u (id)
)
DELETE FROM procrastinate_jobs j
WHERE j.status <> 'doing'
  AND (j.args->>'user_id' IN (SELECT id FROM ids)
       OR j.args->>'ticket_id' IN (
              SELECT id::text FROM job_tickets WHERE user_id = ANY (%(user_ids)s))
       OR j.args->>'activity_id' IN (
              SELECT id::text FROM activities WHERE user_id = ANY (%(user_ids)s)))

-- name: delete_accounts_addresses
DELETE FROM suppressed_addresses s USING users u
WHERE u.id = ANY (%(user_ids)s) AND s.address = lower(u.email)

-- name: delete_accounts_stats
-- Before the activities, which say on which days to look.
WITH stale AS (DELETE FROM stale_days WHERE user_id = ANY (%(user_ids)s))
DELETE FROM daily_stats WHERE user_id = ANY (%(user_ids)s)
  AND day IN (SELECT DISTINCT (activity_date AT TIME ZONE 'UTC')::date FROM activities
              WHERE user_id = ANY (%(user_ids)s))

-- name: delete_accounts
DELETE FROM users WHERE id = ANY (%(user_ids)s)

-- name: give_up_mails
-- Those that wait for a day and whose job is gone: cancelled, deleted, or it killed its workers.
UPDATE mails SET state = 'failed', answer = 'its job ended without it', finished_at = now()
WHERE id IN (
    SELECT m.id FROM mails m
    WHERE m.state IN ('queued', 'sending') AND m.created_at < %(now)s::timestamptz - interval '1 day'
      AND NOT EXISTS (SELECT FROM procrastinate_jobs j WHERE j.status IN ('todo', 'doing')
                      AND j.args->>'user_id' = m.user_id::text)
    ORDER BY m.created_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: fold_counts
SELECT fold_job_counts('-infinity')

-- name: delete_counts
-- Hours older than a year; the sum has them.
DELETE FROM job_counts WHERE (hour, slot, task_name, queue_name, event) IN (
    SELECT hour, slot, task_name, queue_name, event FROM job_counts
    WHERE hour < %(now)s::timestamptz - interval '1 year' ORDER BY hour LIMIT %(page)s)

-- name: delete_depths
DELETE FROM queue_depths WHERE (at, queue_name) IN (
    SELECT at, queue_name FROM queue_depths WHERE at < %(now)s::timestamptz - interval '40 days'
    ORDER BY at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: delete_words
-- Of blocks whose jobs are all gone.
DELETE FROM job_words WHERE block IN (
    SELECT block FROM job_words
    WHERE block < (SELECT coalesce(min(id) / 1000, 0) FROM procrastinate_jobs)
    ORDER BY block LIMIT %(page)s)

-- name: delete_resets
DELETE FROM password_resets WHERE id IN (
    SELECT id FROM password_resets WHERE expires_at < %(now)s::timestamptz - interval '7 days'
    ORDER BY expires_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)
