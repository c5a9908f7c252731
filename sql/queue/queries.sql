-- name: register_worker
WITH worker AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id)
INSERT INTO our_workers (worker_id, host, pid, slots, queues, tasks)
SELECT id, %(host)s, %(pid)s, %(slots)s, %(queues)s, %(tasks)s FROM worker RETURNING worker_id

-- name: unregister_worker
DELETE FROM procrastinate_workers WHERE id = %(worker_id)s

-- name: beat
-- No row: somebody took this worker for dead and removed it. `peers`: who of ours is alive, and its
-- queues; the one that has been there longest leads. `is_to_rescue`: somebody's jobs are this worker's to
-- rescue, or have been the leader's for two seconds.
WITH me AS (
    UPDATE procrastinate_workers SET last_heartbeat = clock_timestamp() WHERE id = %(worker_id)s
    RETURNING id
),
peers AS (
    SELECT o.worker_id, o.queues FROM our_workers o JOIN procrastinate_workers w ON w.id = o.worker_id
    WHERE NOT is_dead(w, %(silence)s, %(silence)s)
)
SELECT is_leader,
       EXISTS (SELECT FROM procrastinate_workers w
               WHERE w.id <> me.id AND is_dead(w, %(silence)s::interval + delay,
                                               %(stock_silence)s::interval + delay))
       OR is_leader AND EXISTS (
           SELECT FROM procrastinate_jobs j WHERE j.status = 'doing' AND NOT EXISTS (
               SELECT FROM procrastinate_workers w WHERE w.id = j.worker_id)) AS is_to_rescue,
       (SELECT json_agg(json_build_array(worker_id, queues)) FROM peers) AS peers
FROM me, LATERAL (SELECT NOT EXISTS (SELECT FROM peers WHERE worker_id < me.id)) AS l (is_leader),
     LATERAL (SELECT CASE WHEN is_leader THEN interval '0' ELSE '2 seconds' END) AS d (delay)

-- name: rescue
SELECT job_id, task_name, failed FROM rescue_jobs(
    %(worker_id)s, %(silence)s::interval, %(stock_silence)s::interval, %(deaths)s)

-- name: claim
SELECT id, %(worker_id)s::bigint, task_name, queue_name, priority, lock, queueing_lock, args, attempts,
       waited, ready_in
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
FROM jsonb_to_recordset(%(errors)s) AS e (
    job_id bigint, worker_id bigint, attempt integer, error text, public_error text, traceback text)
JOIN procrastinate_jobs j ON j.id = e.job_id AND j.worker_id = e.worker_id
WHERE (j.status = 'doing') IS TRUE
FOR KEY SHARE OF j  -- one that somebody is deleting is not there any more

-- name: claimed_but
SELECT id, worker_id, task_name::text, queue_name::text, priority, lock, queueing_lock, args::text, attempts
FROM procrastinate_jobs
WHERE worker_id = %(worker_id)s AND status = 'doing' AND NOT id = ANY (%(known)s)

-- name: abort_requests
SELECT id FROM procrastinate_jobs WHERE id = ANY (%(ids)s) AND status = 'doing' AND abort_requested

-- name: unknown_task
-- Among the first thousand of each queue that wait for no lock. (For all of them: `troubles` in operations.)
SELECT first.task_name::text
FROM (SELECT unnest(%(queues)s::text[]) AS name
      UNION SELECT waiting_queues() WHERE %(queues)s::text[] IS NULL) AS q CROSS JOIN LATERAL (
    SELECT task_name FROM procrastinate_jobs
    WHERE queue_name = q.name AND status = 'todo' AND scheduled_at IS NULL AND lock IS NULL
    ORDER BY -priority, id LIMIT 1000
) AS first
WHERE NOT first.task_name = ANY (%(tasks)s) LIMIT 1

-- name: count
-- Counts of a number that was written before change nothing.
WITH fresh AS (
    UPDATE our_workers SET counted = %(number)s
    WHERE worker_id = %(worker_id)s AND counted < %(number)s RETURNING worker_id
)
INSERT INTO job_outcomes (task_name, queue_name, event, count, seconds, waited, seconds_buckets,
                          waited_buckets)
SELECT c.* FROM fresh, jsonb_to_recordset(%(counts)s) AS c (
    task text, queue text, event text, count bigint, seconds double precision, waited double precision,
    seconds_buckets bigint[], waited_buckets bigint[])
