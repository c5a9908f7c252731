-- name: register_worker
WITH worker AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id)
INSERT INTO our_workers (worker_id, host, pid, slots, queues, tasks)
SELECT id, %(host)s, %(pid)s, %(slots)s, %(queues)s, %(tasks)s FROM worker RETURNING worker_id

-- name: unregister_worker
DELETE FROM procrastinate_workers WHERE id = %(worker_id)s

-- name: beat
-- No row: somebody took this worker for dead and removed it. The one of ours that has been there
-- longest leads: it does what one worker does for all. `is_needed`: somebody is to be rescued from, and
-- it is for this worker to do; for one that does not lead two seconds later, when the one that leads
-- would have done it. `peers`: who of ours is alive, and its queues.
WITH me AS (
    UPDATE procrastinate_workers SET last_heartbeat = clock_timestamp() WHERE id = %(worker_id)s
    RETURNING id
),
leads AS (
    SELECT id, NOT EXISTS (
        SELECT FROM our_workers o JOIN procrastinate_workers w ON w.id = o.worker_id
        WHERE w.id < me.id AND NOT is_dead(w, %(silence)s, %(silence)s)) AS is_leader
    FROM me
)
SELECT is_leader,
       EXISTS (SELECT FROM procrastinate_workers w
               WHERE w.id <> leads.id AND is_dead(w, %(silence)s::interval + patience,
                                                  %(stock_silence)s::interval + patience))
       OR is_leader AND EXISTS (
           SELECT FROM procrastinate_jobs j WHERE j.status = 'doing' AND NOT EXISTS (
               SELECT FROM procrastinate_workers w WHERE w.id = j.worker_id)) AS is_needed,
       (SELECT json_agg(json_build_array(o.worker_id, o.queues))
        FROM our_workers o JOIN procrastinate_workers w ON w.id = o.worker_id
        WHERE NOT is_dead(w, %(silence)s, %(silence)s)) AS peers
FROM leads, LATERAL (SELECT CASE WHEN is_leader THEN interval '0' ELSE '2 seconds' END) AS p (patience)

-- name: rescue
SELECT job_id, task_name, failed FROM rescue_jobs(
    %(worker_id)s, %(silence)s::interval, %(stock_silence)s::interval, %(deaths)s)

-- name: claim
SELECT id, task_name, priority, lock, queueing_lock, args, CASE WHEN scheduled_at > 'epoch' THEN scheduled_at END,
       queue_name, attempts, abort_requested, waited, ready_in
FROM claim_jobs(%(worker_id)s, %(slots)s, %(tasks)s, %(queues)s, %(names)s::text[],
                %(weights)s::double precision[], %(passes)s::double precision[],
                %(priorities)s::integer[], %(ids)s::bigint[])

-- name: finish
-- The outcomes of runs. A run that does not count (its job is somebody else's by now) is not returned.
SELECT finish_jobs(%(ids)s::bigint[], %(workers)s::bigint[], %(statuses)s::procrastinate_job_status[],
                   %(spent)s::boolean[], %(retry_at)s::timestamptz[])

-- name: record_errors
-- Of runs that are about to end, unless their jobs are somebody else's by now.
INSERT INTO job_errors (job_id, attempt, kind, error, public_error, traceback)
SELECT e.job_id, e.attempt, 'error', e.error, e.public_error, e.traceback
FROM unnest(%(job_ids)s::bigint[], %(workers)s::bigint[], %(attempts)s::integer[], %(errors)s::text[],
            %(public_errors)s::text[], %(tracebacks)s::text[])
    AS e (job_id, worker_id, attempt, error, public_error, traceback)
JOIN procrastinate_jobs j ON j.id = e.job_id AND j.worker_id = e.worker_id
WHERE j.id = ANY (%(job_ids)s::bigint[]) AND (j.status = 'doing') IS TRUE
FOR KEY SHARE OF j  -- one that somebody is deleting is not there any more

-- name: release_unseen
-- Jobs that were claimed in an answer that never arrived because the connection broke.
WITH unseen AS (
    SELECT j.id, j.queueing_lock IS NOT NULL AND (
               row_number() OVER (PARTITION BY j.queueing_lock ORDER BY j.id) > 1
               OR EXISTS (SELECT FROM procrastinate_jobs o
                          WHERE o.queueing_lock = j.queueing_lock AND o.status = 'todo')) AS is_second
    FROM procrastinate_jobs j
    WHERE j.worker_id = %(worker_id)s AND j.status = 'doing' AND NOT j.id = ANY (%(known)s)
),
released AS (
    UPDATE procrastinate_jobs j
    SET status = CASE WHEN unseen.is_second THEN 'failed' WHEN j.abort_requested THEN 'aborted'
                      ELSE 'todo' END::procrastinate_job_status,
        abort_requested = false, worker_id = NULL
    FROM unseen WHERE j.id = unseen.id AND j.worker_id = %(worker_id)s AND j.status = 'doing'
    RETURNING j.id, j.status, j.attempts
)
INSERT INTO job_errors (job_id, attempt, kind, error, public_error)
SELECT id, attempts + 1, 'error', 'its claim was lost, and another job has its queueing lock',
       'the job could not be started'
FROM released WHERE status = 'failed'

-- name: abort_requests
SELECT id FROM procrastinate_jobs WHERE id = ANY (%(ids)s) AND status = 'doing' AND abort_requested

-- name: queue_names
SELECT waiting_queues()

-- name: unknown_task
-- Among the first thousand of each queue.
SELECT first.task_name::text
FROM (SELECT unnest(%(queues)s::text[]) AS name
      UNION SELECT waiting_queues() WHERE %(queues)s::text[] IS NULL) AS q CROSS JOIN LATERAL (
    (SELECT task_name FROM procrastinate_jobs
     WHERE queue_name = q.name AND status = 'todo' AND scheduled_at IS NULL AND lock IS NULL
     ORDER BY -priority, id LIMIT 1000)
    UNION ALL
    (SELECT task_name FROM procrastinate_jobs
     WHERE queue_name = q.name AND status = 'todo' AND scheduled_at IS NULL AND lock IS NOT NULL
     ORDER BY lock, -priority, id LIMIT 1000)
    UNION ALL
    (SELECT task_name FROM procrastinate_jobs
     WHERE queue_name = q.name AND status = 'todo' AND scheduled_at <= now()
     ORDER BY scheduled_at, id LIMIT 1000)
) AS first
WHERE NOT first.task_name = ANY (%(tasks)s) LIMIT 1

-- name: count
INSERT INTO job_outcomes (task_name, queue_name, event, count, seconds, waited, seconds_buckets,
                          waited_buckets)
SELECT task, queue, event, count, seconds, waited, seconds_buckets::bigint[], waited_buckets::bigint[]
FROM unnest(%(tasks)s::text[], %(queues)s::text[], %(events)s::text[], %(counts)s::bigint[],
            %(seconds)s::double precision[], %(waited)s::double precision[],
            %(seconds_buckets)s::text[], %(waited_buckets)s::text[])
    AS u (task, queue, event, count, seconds, waited, seconds_buckets, waited_buckets)

-- name: database_time
-- Seconds since 1970.
SELECT floor(extract(epoch FROM now()))::bigint

-- name: last_ticks
SELECT task_name, periodic_id, last_tick FROM schedule_ticks

-- name: start_schedule
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
