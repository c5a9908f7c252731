-- name: get
-- What the engine says of the job, what the ticket says, and the last run's error.
SELECT t.id, t.user_id, t.kind, t.job_id, t.progress, t.message, t.result,
       t.created_at, t.completed_at, t.cancelled_at, t.expires_at,
       j.status::text AS job_status, coalesce(j.attempts, 0) AS attempts,
       e.at AS failed_at, e.public_error AS error
FROM unnest(%(ids)s::uuid[], %(user_ids)s::bigint[]) AS wanted (id, user_id)
JOIN job_tickets t USING (id, user_id)
LEFT JOIN procrastinate_jobs j ON j.id = t.job_id
LEFT JOIN LATERAL (
    SELECT at, public_error FROM job_errors WHERE job_id = j.id ORDER BY at DESC LIMIT 1
) e ON j.status = 'failed'

-- name: start
-- The owner, and whether it was cancelled; no row when the ticket is finished or gone.
UPDATE job_tickets SET started_at = coalesce(started_at, now())
WHERE id = %(id)s AND completed_at IS NULL
RETURNING user_id, cancelled_at IS NOT NULL AS is_cancelled

-- name: report
-- Progress only grows, also when a second run starts over.
UPDATE job_tickets SET progress = greatest(progress, %(progress)s), message = %(message)s
WHERE id = %(id)s AND completed_at IS NULL AND cancelled_at IS NULL

-- name: complete
UPDATE job_tickets
SET progress = 100, message = %(message)s, result = %(result)s, completed_at = now(),
    expires_at = now() + make_interval(days => %(days)s::integer)
WHERE id = %(id)s AND completed_at IS NULL AND cancelled_at IS NULL

-- name: is_cancelled
SELECT NOT EXISTS (SELECT FROM job_tickets WHERE id = %(id)s AND cancelled_at IS NULL)

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
-- Seconds that a new one will take: the mean run of the last twenty of its kind, for itself and for
-- its share of those that wait before it (counted up to a thousand).
WITH runs AS (
    SELECT avg(extract(epoch FROM completed_at - started_at)) AS seconds FROM (
        SELECT completed_at, started_at FROM job_tickets
        WHERE kind = %(kind)s AND completed_at IS NOT NULL
        ORDER BY completed_at DESC LIMIT 20) AS latest
),
ahead AS (
    SELECT count(*) AS jobs FROM (
        SELECT FROM procrastinate_jobs
        WHERE status = 'todo' AND queue_name = %(queue)s
          AND scheduled_at IS NULL AND lock IS NULL LIMIT 1000) AS waiting
),
workers AS (
    SELECT count(*) AS alive FROM alive_workers()
)
SELECT (coalesce(runs.seconds, 2) * (1 + ahead.jobs / greatest(workers.alive, 1)))::double precision
FROM runs, ahead, workers

-- name: add_done
-- Of a job that does many things: how many, in all of its runs. (Its result takes the place of it.)
UPDATE job_tickets SET result = jsonb_build_object('done', coalesce((result->>'done')::bigint, 0) + %(more)s)
WHERE id = %(id)s RETURNING (result->>'done')::bigint
