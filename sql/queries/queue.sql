-- name: register_worker
INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id

-- name: unregister_worker
DELETE FROM procrastinate_workers WHERE id = %(worker_id)s

-- name: mark_busy
INSERT INTO busy_workers (worker_id) VALUES (%(worker_id)s) ON CONFLICT DO NOTHING

-- name: mark_free
DELETE FROM busy_workers WHERE worker_id = %(worker_id)s

-- name: beat
-- No row: somebody took this worker for dead and removed it.
UPDATE procrastinate_workers SET last_heartbeat = clock_timestamp() WHERE id = %(worker_id)s

-- name: remove_dead_workers
-- Only when nothing is left to rescue from them.
DELETE FROM procrastinate_workers w
WHERE w.last_heartbeat < now() - %(silence)s::interval
  AND NOT EXISTS (SELECT FROM procrastinate_jobs j WHERE j.worker_id = w.id)

-- name: queue_names
-- A hop per queue, whatever the number of jobs.
WITH RECURSIVE names AS (
    (SELECT queue_name FROM procrastinate_jobs ORDER BY queue_name LIMIT 1)
    UNION ALL
    SELECT (SELECT j.queue_name FROM procrastinate_jobs j
            WHERE j.queue_name > names.queue_name ORDER BY j.queue_name LIMIT 1)
    FROM names WHERE names.queue_name IS NOT NULL
)
SELECT queue_name::text FROM names WHERE queue_name IS NOT NULL

-- name: claim
SELECT id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name,
       attempts, abort_requested, worker_id
FROM claim_jobs(%(worker_id)s, %(slots)s, %(tasks)s, %(queues)s, %(weights)s, %(passes)s)

-- name: finish
SELECT id FROM finish_jobs(
    %(ids)s::bigint[], %(workers)s::bigint[], %(statuses)s::procrastinate_job_status[],
    %(spent)s::boolean[], %(retry_at)s::timestamptz[]) AS id

-- name: finish_with_errors
-- A run that does not count leaves no error either.
WITH written AS (
    SELECT id FROM finish_jobs(
        %(ids)s::bigint[], %(workers)s::bigint[], %(statuses)s::procrastinate_job_status[],
        %(spent)s::boolean[], %(retry_at)s::timestamptz[]) AS id
),
recorded AS (
    INSERT INTO job_errors (job_id, attempt, kind, error, public_error, traceback)
    SELECT e.job_id, e.attempt, 'error', e.error, e.public_error, e.traceback
    FROM unnest(%(job_ids)s::bigint[], %(attempts)s::integer[], %(errors)s::text[],
                %(public_errors)s::text[], %(tracebacks)s::text[])
        AS e (job_id, attempt, error, public_error, traceback)
    JOIN written ON written.id = e.job_id
)
SELECT id FROM written

-- name: rescue
SELECT job_id, task_name, failed FROM rescue_jobs(%(silence)s::interval, %(deaths)s)

-- name: seconds_until_due
-- How long until the next scheduled job of these queues is due.
SELECT extract(epoch FROM min(next.scheduled_at) - now())::double precision
FROM unnest(%(queues)s::text[]) AS q (name) CROSS JOIN LATERAL (
    SELECT scheduled_at FROM procrastinate_jobs
    WHERE queue_name = q.name AND status = 'todo' AND scheduled_at > now() AND lock IS NULL
    ORDER BY scheduled_at LIMIT 1
) AS next

-- name: unknown_task
SELECT task_name::text FROM procrastinate_jobs
WHERE status = 'todo' AND NOT task_name = ANY (%(tasks)s)
  AND (%(queues)s::text[] IS NULL OR queue_name = ANY (%(queues)s)) LIMIT 1

-- name: database_time
SELECT extract(epoch FROM now())::bigint

-- name: last_ticks
SELECT task_name, periodic_id, last_tick FROM schedule_ticks

-- name: start_schedule
-- A schedule that is new starts with its next tick: nothing is made up for it.
INSERT INTO schedule_ticks (task_name, periodic_id, last_tick)
VALUES (%(task_name)s, %(periodic_id)s, %(tick)s) ON CONFLICT DO NOTHING

-- name: defer_tick
-- One job for a tick, by whichever worker comes first, never for a tick behind the last one.
WITH ticked AS (
    UPDATE schedule_ticks SET last_tick = %(tick)s
    WHERE task_name = %(task_name)s AND periodic_id = %(periodic_id)s AND last_tick < %(tick)s
    RETURNING task_name
)
SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
    %(queue)s, task_name, %(priority)s, %(lock)s, %(queueing_lock)s, %(args)s, NULL
)::procrastinate_job_to_defer_v1])) FROM ticked

-- name: abort_requests
SELECT id FROM procrastinate_jobs WHERE id = ANY (%(ids)s) AND status = 'doing' AND abort_requested

-- name: release_unseen
-- Jobs that were claimed in an answer that never arrived because the connection broke.
UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL
WHERE worker_id = %(worker_id)s AND status = 'doing' AND NOT id = ANY (%(known)s)
