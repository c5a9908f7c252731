-- name: register_worker
WITH worker AS (INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id)
INSERT INTO our_workers (worker_id, host, pid, slots, queues, tasks)
SELECT id, %(host)s, %(pid)s, %(slots)s, %(queues)s, %(tasks)s FROM worker RETURNING worker_id

-- name: is_registered
SELECT EXISTS (SELECT FROM procrastinate_workers WHERE id = %(worker_id)s)

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
WHERE w.last_heartbeat < now() - CASE
          WHEN EXISTS (SELECT FROM our_workers q WHERE q.worker_id = w.id)
          THEN %(silence)s::interval ELSE %(stock_silence)s::interval END
  AND EXISTS (SELECT FROM procrastinate_workers me
              WHERE me.id = %(worker_id)s AND me.last_heartbeat > now() - %(silence)s::interval / 2)
  AND NOT EXISTS (SELECT FROM procrastinate_jobs j WHERE j.worker_id = w.id AND j.status = 'doing')

-- name: queue_names
-- Those where jobs wait: a hop per queue through each of our four indexes, whatever the number of
-- jobs.
WITH RECURSIVE names (ready, later) AS (
    SELECT ''::varchar, ''::varchar
    UNION ALL
    SELECT (SELECT j.queue_name FROM procrastinate_jobs j
            WHERE j.queue_name > names.ready AND j.status = 'todo' AND j.scheduled_at IS NULL
              AND j.lock IS NULL ORDER BY j.queue_name LIMIT 1),
           (SELECT j.queue_name FROM procrastinate_jobs j
            WHERE j.queue_name > names.later AND j.status = 'todo' AND j.scheduled_at IS NOT NULL
              AND j.lock IS NULL ORDER BY j.queue_name LIMIT 1)
    FROM names WHERE coalesce(ready, later) IS NOT NULL
)
SELECT name::text FROM names, unnest(ARRAY[ready, later]) AS name WHERE name <> ''
UNION SELECT locked_queues()

-- name: claim
-- From queues that are not paused, for a worker that nobody took for dead; in the order in which they
-- are to start, with the seconds that a job waited since it could. (Python has no -infinity.)
WITH open AS (
    SELECT array_agg(queue) AS queues, array_agg(weight) AS weights, array_agg(pass) AS passes,
           array_agg(first_priority) AS first_priorities, array_agg(first_id) AS first_ids
    FROM unnest(%(queues)s::text[], %(weights)s::double precision[], %(passes)s::double precision[],
                %(first_priorities)s::integer[], %(first_ids)s::bigint[])
        AS u (queue, weight, pass, first_priority, first_id)
    WHERE NOT EXISTS (SELECT FROM paused_queues p WHERE p.queue_name = u.queue)
      AND EXISTS (SELECT FROM procrastinate_workers w WHERE w.id = %(worker_id)s)
)
SELECT c.id, c.task_name, c.priority, c.lock, c.queueing_lock, c.args::text, due.at,
       c.queue_name, c.attempts, c.abort_requested, c.worker_id,
       extract(epoch FROM clock_timestamp() - greatest(due.at, (
           SELECT max(e.at) FROM procrastinate_events e
           WHERE e.job_id = c.id AND e.type IN ('deferred', 'deferred_for_retry', 'retried')
       )))::double precision AS waited
FROM open, claim_jobs(%(worker_id)s, %(slots)s, %(tasks)s, open.queues, open.weights, open.passes,
                      open.first_priorities, open.first_ids) AS c,
     LATERAL (SELECT CASE WHEN c.scheduled_at > 'epoch' THEN c.scheduled_at END) AS due (at)
ORDER BY open.weights[array_position(open.queues, c.queue_name::text)] DESC, c.priority DESC, c.id

-- name: finish
-- The ends of runs. A run that does not count (its job is somebody else's by now) is not returned.
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

-- name: notify_locks
-- Of jobs that ended, when their worker did not take the next job of the line itself.
SELECT notify_lock_line(lock, %(worker_id)s) FROM unnest(%(locks)s::text[]) AS l (lock)

-- name: count
SELECT count_jobs(%(slot)s, %(tasks)s::text[], %(queues)s::text[], %(events)s::text[],
                  %(counts)s::bigint[], %(seconds)s::double precision[], %(waited)s::double precision[],
                  %(seconds_buckets)s::text[], %(waited_buckets)s::text[])

-- name: rescue
-- Deaths are counted, too.
WITH rescued AS (
    SELECT job_id, task_name, failed FROM rescue_jobs(
        %(worker_id)s, %(silence)s::interval, %(stock_silence)s::interval, %(deaths)s)
),
counted AS (
    SELECT count_jobs(0, array_agg(task_name), array_agg(queue_name), array_agg('died'::text),
                      array_agg(runs), array_agg(0::double precision),
                      array_agg(0::double precision), array_agg('{}'::text), array_agg('{}'::text))
    FROM (SELECT r.task_name, j.queue_name::text, count(*) AS runs
          FROM rescued r JOIN procrastinate_jobs j ON j.id = r.job_id GROUP BY 1, 2) AS deaths
    HAVING count(*) > 0
)
SELECT job_id, task_name, failed FROM rescued LEFT JOIN counted ON true

-- name: seconds_until_ready
-- How long until a job of these queues can start: some that another worker is just claiming seem to
-- can. (Behind a lock that is held none can; its end wakes workers.)
SELECT (extract(epoch FROM min(ready.at)) - extract(epoch FROM clock_timestamp()))::double precision
FROM unnest(%(queues)s::text[]) AS q (name) CROSS JOIN LATERAL (
    (SELECT now() AS at FROM procrastinate_jobs
     WHERE queue_name = q.name AND status = 'todo' AND scheduled_at IS NULL AND lock IS NULL
       AND task_name = ANY (%(tasks)s) ORDER BY -priority, id LIMIT 1)
    UNION ALL
    SELECT now() FROM lock_line_heads(q.name, %(tasks)s, 1)
    UNION ALL
    (SELECT scheduled_at FROM procrastinate_jobs
     WHERE queue_name = q.name AND status = 'todo' AND scheduled_at IS NOT NULL AND lock IS NULL
       AND task_name = ANY (%(tasks)s) ORDER BY scheduled_at, id LIMIT 1)
    UNION ALL
    (SELECT scheduled_at FROM procrastinate_jobs
     WHERE queue_name = q.name AND status = 'todo' AND scheduled_at > now() AND lock IS NOT NULL
       AND task_name = ANY (%(tasks)s) ORDER BY scheduled_at, id LIMIT 1)
) AS ready
WHERE NOT EXISTS (SELECT FROM paused_queues p WHERE p.queue_name = q.name)

-- name: unknown_task
-- Among the first thousand of each line: those that somebody knows go, and leave it to the others.
SELECT first.task_name::text FROM unnest(%(queues)s::text[]) AS q (name) CROSS JOIN LATERAL (
    (SELECT task_name FROM procrastinate_jobs
     WHERE queue_name = q.name AND status = 'todo' AND scheduled_at IS NULL AND lock IS NULL
     ORDER BY -priority, id LIMIT 1000)
    UNION ALL
    (SELECT task_name FROM procrastinate_jobs
     WHERE queue_name = q.name AND status = 'todo' AND scheduled_at <= now() AND lock IS NULL
     ORDER BY scheduled_at, id LIMIT 1000)
    UNION ALL
    (SELECT task_name FROM procrastinate_jobs
     WHERE queue_name = q.name AND status = 'todo' AND scheduled_at IS NULL AND lock IS NOT NULL
     ORDER BY lock, -priority, id LIMIT 1000)
    UNION ALL
    (SELECT task_name FROM procrastinate_jobs
     WHERE queue_name = q.name AND status = 'todo' AND scheduled_at <= now() AND lock IS NOT NULL
     ORDER BY scheduled_at, id LIMIT 1000)
) AS first
WHERE NOT first.task_name = ANY (%(tasks)s) LIMIT 1

-- name: database_time
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

-- name: abort_requests
SELECT id FROM procrastinate_jobs WHERE id = ANY (%(ids)s) AND status = 'doing' AND abort_requested

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

-- name: note_depths
-- Once in five minutes, whichever worker comes first; it tidies the counts of the last hours, too.
WITH noted AS (
    INSERT INTO queue_depths (at, queue_name, waiting, oldest_seconds)
    SELECT date_bin('5 minutes', now(), 'epoch'), q.name, d.waiting,
           coalesce(extract(epoch FROM now() - d.oldest), 0)
    FROM unnest(%(queues)s::text[]) AS q (name) CROSS JOIN LATERAL queue_depth(q.name) AS d
    WHERE NOT EXISTS (SELECT FROM queue_depths WHERE at = date_bin('5 minutes', now(), 'epoch'))
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT fold_job_counts(now() - interval '3 hours') WHERE EXISTS (SELECT FROM noted)

-- name: note_words
-- What the next ten blocks of jobs hold, of those that lie below %(until)s as a whole; no row when
-- there are none, or when another worker is at it.
WITH next AS (
    SELECT (SELECT j.id / 1000 FROM procrastinate_jobs j
            WHERE j.id >= coalesce((SELECT max(block) + 1 FROM job_words), 0) * 1000
            ORDER BY j.id LIMIT 1) AS block
    WHERE pg_try_advisory_xact_lock('job_words'::regclass::oid::bigint)
)
INSERT INTO job_words (block, words)
SELECT j.id / 1000, array_agg(DISTINCT word)
FROM next JOIN procrastinate_jobs j
    ON j.id >= next.block * 1000 AND j.id < least(next.block + 10, %(until)s / 1000) * 1000
CROSS JOIN LATERAL (
    SELECT left(word, 100) AS word
    FROM regexp_split_to_table(lower(left(j.args::text, 1000)), '[^[:alnum:]]+') AS word
    UNION ALL VALUES (j.task_name), (j.queue_name)
) AS found
GROUP BY 1 ON CONFLICT DO NOTHING RETURNING block

-- name: newest_job
SELECT coalesce(max(id), 0) FROM procrastinate_jobs
