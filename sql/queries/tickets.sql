-- name: open
-- The ticket and its job, in one statement.
WITH job AS (
    SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
        %(queue)s, %(task)s, 0, NULL, NULL, jsonb_build_object('ticket_id', %(id)s::uuid::text), NULL
    )::procrastinate_job_to_defer_v1])) AS id
)
INSERT INTO job_tickets (id, user_id, kind, job_id, message)
SELECT %(id)s, %(user_id)s, %(kind)s, job.id, %(message)s FROM job

-- name: get
-- What the engine says of the job, what the ticket says, and the last run's error.
SELECT t.id, t.kind, t.progress, t.message, t.result,
       t.created_at, t.completed_at, t.cancelled_at, t.expires_at,
       j.status::text AS job_status, coalesce(j.attempts, 0) AS attempts,
       e.at AS failed_at, e.public_error AS error
FROM job_tickets t
LEFT JOIN procrastinate_jobs j ON j.id = t.job_id
LEFT JOIN LATERAL (
    SELECT at, public_error FROM job_errors WHERE job_id = j.id ORDER BY at DESC LIMIT 1
) e ON j.status = 'failed'
WHERE t.id = %(id)s AND t.user_id = %(user_id)s

-- name: start
-- The owner, or no row when the ticket is finished, cancelled or gone.
UPDATE job_tickets SET started_at = coalesce(started_at, now())
WHERE id = %(id)s AND completed_at IS NULL AND cancelled_at IS NULL
RETURNING user_id

-- name: report
-- Progress only grows, also when a second run starts over.
UPDATE job_tickets SET progress = greatest(progress, %(progress)s), message = %(message)s
WHERE id = %(id)s AND completed_at IS NULL AND cancelled_at IS NULL

-- name: complete
UPDATE job_tickets
SET progress = 100, message = %(message)s, result = %(result)s, completed_at = now(),
    expires_at = now() + make_interval(days => %(days)s::integer)
WHERE id = %(id)s AND completed_at IS NULL AND cancelled_at IS NULL

-- name: cancel
-- No row when it was finished already.
WITH ticket AS (
    UPDATE job_tickets t SET cancelled_at = now(), message = 'Cancelled'
    WHERE t.id = %(id)s AND t.user_id = %(user_id)s
      AND t.completed_at IS NULL AND t.cancelled_at IS NULL
      AND NOT EXISTS (SELECT FROM procrastinate_jobs j
                      WHERE j.id = t.job_id AND j.status NOT IN ('todo', 'doing'))
    RETURNING t.job_id
)
SELECT procrastinate_cancel_job_v1(job_id, true, false) IS NOT NULL FROM ticket

-- name: estimate
-- Seconds that the newest one will take: the mean run of the last twenty of its kind, for itself and
-- for its share of those that wait before it.
WITH runs AS (
    SELECT extract(epoch FROM completed_at - started_at) AS seconds
    FROM job_tickets WHERE kind = %(kind)s AND completed_at IS NOT NULL
    ORDER BY completed_at DESC LIMIT 20
),
ahead AS (
    SELECT count(*) AS jobs FROM (
        SELECT FROM procrastinate_jobs
        WHERE status = 'todo' AND queue_name = %(queue)s AND scheduled_at IS NULL AND lock IS NULL
        LIMIT 1000) AS waiting
),
workers AS (
    SELECT count(*) AS alive FROM procrastinate_workers
    WHERE last_heartbeat > now() - interval '10 seconds'
)
SELECT (coalesce((SELECT avg(seconds) FROM runs), 2)
        * (1 + greatest(ahead.jobs - 1, 0) / greatest(workers.alive, 1)))::double precision
FROM ahead, workers
