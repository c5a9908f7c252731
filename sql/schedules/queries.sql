-- name: database_time
-- Seconds since 1970.
SELECT floor(extract(epoch FROM now()))::bigint

-- name: last_ticks
SELECT task_name, periodic_id, last_tick, paused_at IS NOT NULL AS is_paused FROM schedule_ticks

-- name: register
-- A schedule that is new, or goes by other times now, starts with its next tick: nothing is made up.
INSERT INTO schedule_ticks AS t (task_name, periodic_id, last_tick, cron, queue_name, lock)
VALUES (%(task_name)s, %(periodic_id)s, %(tick)s, %(cron)s, %(queue)s, %(lock)s)
ON CONFLICT (task_name, periodic_id) DO UPDATE
    SET cron = excluded.cron, queue_name = excluded.queue_name, lock = excluded.lock,
        last_tick = CASE WHEN t.cron <> excluded.cron THEN excluded.last_tick ELSE t.last_tick END
    WHERE (t.cron, t.queue_name, t.lock)
          IS DISTINCT FROM (excluded.cron, excluded.queue_name, excluded.lock)

-- name: skip_tick
UPDATE schedule_ticks SET last_tick = %(tick)s
WHERE task_name = %(task_name)s AND periodic_id = %(periodic_id)s AND last_tick < %(tick)s

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

-- name: start_run
INSERT INTO schedule_runs (task_name, tick, job_id) VALUES (%(task_name)s, %(tick)s, %(job_id)s)
RETURNING id

-- name: finish_run
UPDATE schedule_runs
SET finished_at = now(), outcome = %(outcome)s, counts = %(counts)s, error = %(error)s
WHERE id = %(id)s

-- name: forget_run
DELETE FROM schedule_runs WHERE id = %(id)s
