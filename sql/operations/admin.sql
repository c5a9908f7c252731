-- name: queue_names
-- Those where jobs wait or run, those that are paused, and our own.
SELECT waiting_queues() UNION SELECT DISTINCT queue_name FROM procrastinate_jobs WHERE status = 'doing'
UNION SELECT queue_name FROM paused_queues UNION SELECT queue_name FROM queue_limits
UNION SELECT unnest(ARRAY['critical', 'default', 'low']) ORDER BY 1

-- name: worker_history
-- Of a week, and the jobs that each died with: their deaths were noted when others removed it.
SELECT h.worker_id, h.host, h.pid, h.started_at, h.ended_at, h.died,
       CASE WHEN h.died THEN ARRAY(
           SELECT DISTINCT e.job_id FROM job_errors e
           WHERE e.kind = 'death' AND e.at BETWEEN h.ended_at - interval '10 seconds'
                                               AND h.ended_at + interval '10 seconds'
           ORDER BY 1 LIMIT 20) ELSE '{}' END AS jobs
FROM worker_history h WHERE h.started_at > now() - interval '7 days' OR h.ended_at > now() - interval '7 days'
ORDER BY coalesce(h.ended_at, 'infinity') DESC, h.worker_id DESC LIMIT 50

-- name: known_names
SELECT ARRAY(SELECT DISTINCT queue_name FROM job_counts WHERE hour = 'infinity' ORDER BY 1 LIMIT 200),
       ARRAY(SELECT DISTINCT task_name FROM job_counts WHERE hour = 'infinity' ORDER BY 1 LIMIT 500)

-- name: queues
-- Counted up to 10,000 in each way of waiting: a page must not count millions. The pace is that of this
-- minute and the fourteen before it.
SELECT n.queue, d.waiting, d.oldest,
       (SELECT count(*) FROM (SELECT FROM procrastinate_jobs j WHERE j.queue_name = n.queue
            AND j.status = 'todo' AND j.scheduled_at > now()
        ORDER BY j.scheduled_at, j.id LIMIT 10000) AS l) AS later,
       (SELECT count(*) FROM procrastinate_jobs j
        WHERE j.queue_name = n.queue AND j.status = 'doing') AS running,
       coalesce(c.succeeded, 0)::bigint AS succeeded, coalesce(c.failed, 0)::bigint AS failed,
       coalesce(c.stopped, 0)::bigint AS stopped,
       (coalesce(p.runs, 0) / extract(epoch FROM now() - p.since) * 60)::double precision AS runs_per_minute,
       coalesce(p.waited_buckets, '{}') AS waited_buckets,
       EXISTS (SELECT FROM paused_queues p WHERE p.queue_name = n.queue) AS paused,
       (SELECT l.running FROM queue_limits l WHERE l.queue_name = n.queue) AS "limit"
FROM unnest(%(names)s::text[]) AS n (queue) CROSS JOIN LATERAL queue_depth(n.queue) AS d
LEFT JOIN (
    SELECT queue_name, sum(count) FILTER (WHERE event = 'succeeded') AS succeeded,
           sum(count) FILTER (WHERE event = 'failed') AS failed,
           sum(count) FILTER (WHERE event = 'aborted') AS stopped
    FROM job_activity WHERE hour > now() - interval '1 day' AND hour < 'infinity' GROUP BY 1
) AS c ON c.queue_name = n.queue
LEFT JOIN LATERAL (
    SELECT since, sum(runs) AS runs, sum_arrays(waited_buckets) AS waited_buckets
    FROM (SELECT date_trunc('minute', now()) - interval '14 minutes' AS since) AS s
    LEFT JOIN queue_depths d ON d.at >= since AND d.queue_name = n.queue GROUP BY 1
) AS p ON true
ORDER BY array_position(ARRAY['critical', 'default', 'low'], n.queue), n.queue

-- name: depths
-- Of the same, only what /metrics tells.
SELECT n.queue, d.waiting, d.oldest,
       (SELECT count(*) FROM procrastinate_jobs j
        WHERE j.queue_name = n.queue AND j.status = 'doing') AS running,
       EXISTS (SELECT FROM paused_queues p WHERE p.queue_name = n.queue) AS paused
FROM unnest(%(names)s::text[]) AS n (queue) CROSS JOIN LATERAL queue_depth(n.queue) AS d ORDER BY 1

-- name: slots
-- What happened in each of the last minutes, hours or days; from counts, not from jobs.
WITH slots AS (
    SELECT at FROM generate_series(%(since)s::timestamptz, now(), %(length)s::interval) AS g (at)
),
activity AS (
    SELECT minute AS at, event, count, seconds, waited, seconds_buckets, waited_buckets
    FROM minute_counts WHERE %(unit)s = 'minute' AND minute >= %(since)s
    UNION ALL
    SELECT hour, event, count, seconds, waited, seconds_buckets, waited_buckets
    FROM job_activity WHERE %(unit)s <> 'minute' AND hour >= %(since)s AND hour < 'infinity'
),
counted AS (
    SELECT date_trunc(%(unit)s::text, at) AS at,
           sum(count) FILTER (WHERE event = 'succeeded') AS succeeded,
           sum(count) FILTER (WHERE event IN ('failed', 'retried', 'died')) AS failed,
           sum(count) FILTER (WHERE event = 'enqueued') AS enqueued,
           sum(waited) / nullif(sum(count) FILTER (WHERE event <> 'enqueued'), 0) AS waited,
           sum(seconds) / nullif(sum(count) FILTER (WHERE event <> 'enqueued'), 0) AS seconds,
           ARRAY[coalesce(sum(waited_buckets[1]), 0), coalesce(sum(waited_buckets[2]), 0), coalesce(sum(waited_buckets[3]), 0),
                 coalesce(sum(waited_buckets[4]), 0), coalesce(sum(waited_buckets[5]), 0),
                 coalesce(sum(waited_buckets[6]), 0), coalesce(sum(waited_buckets[7]), 0)]::bigint[] AS waited_buckets,
           ARRAY[coalesce(sum(seconds_buckets[1]), 0), coalesce(sum(seconds_buckets[2]), 0), coalesce(sum(seconds_buckets[3]), 0),
                 coalesce(sum(seconds_buckets[4]), 0), coalesce(sum(seconds_buckets[5]), 0),
                 coalesce(sum(seconds_buckets[6]), 0), coalesce(sum(seconds_buckets[7]), 0)]::bigint[] AS seconds_buckets
    FROM activity GROUP BY 1
),
came AS (
    SELECT date_trunc(%(unit)s::text, started_at) AS at, count(*) AS workers
    FROM worker_history WHERE started_at >= %(since)s GROUP BY 1
),
died AS (
    SELECT date_trunc(%(unit)s::text, ended_at) AS at, count(*) AS workers
    FROM worker_history WHERE died AND ended_at >= %(since)s GROUP BY 1
),
seen AS (
    SELECT date_trunc(%(unit)s::text, at) AS at, max(waiting) AS waiting
    FROM (SELECT at, sum(waiting) AS waiting FROM queue_depths
          WHERE at >= %(since)s GROUP BY at) AS looks GROUP BY 1
)
SELECT s.at, coalesce(c.succeeded, 0)::bigint AS succeeded, coalesce(c.failed, 0)::bigint AS failed,
       coalesce(c.enqueued, 0)::bigint AS enqueued, c.waited, c.seconds,
       coalesce(c.waited_buckets, '{}') AS waited_buckets,
       coalesce(c.seconds_buckets, '{}') AS seconds_buckets,
       coalesce(d.waiting, 0)::bigint AS waiting,
       coalesce(came.workers, 0)::bigint AS workers_came,
       coalesce(died.workers, 0)::bigint AS workers_died
FROM slots s LEFT JOIN counted c USING (at) LEFT JOIN seen d USING (at)
LEFT JOIN came USING (at) LEFT JOIN died USING (at) ORDER BY s.at

-- name: workers
SELECT w.id, w.last_heartbeat, w.id IN (SELECT alive_workers()) AS is_alive,
       o.host, o.pid, o.slots, o.queues, o.started_at,
       ARRAY(SELECT j.id FROM procrastinate_jobs j
             WHERE j.worker_id = w.id AND j.status = 'doing' ORDER BY j.id) AS job_ids,
       ARRAY(SELECT j.task_name::text FROM procrastinate_jobs j
             WHERE j.worker_id = w.id AND j.status = 'doing' ORDER BY j.id) AS tasks
FROM procrastinate_workers w LEFT JOIN our_workers o ON o.worker_id = w.id
WHERE w.last_heartbeat > now() - interval '1 minute' ORDER BY w.id

-- name: hindrances
-- What may keep a job from starting: its queue, its lock, and workers, of whom stock ones do not say
-- what they take.
SELECT EXISTS (SELECT FROM paused_queues p WHERE p.queue_name = j.queue_name) AS is_paused,
       queue_room(j.queue_name, 1) = 0 AS is_full,
       (SELECT held.id FROM procrastinate_jobs held
        WHERE held.lock = j.lock AND held.status = 'doing') AS lock_holder,
       count(w.id) AS alive,
       count(w.id) FILTER (WHERE o.tasks IS NULL OR (
           j.task_name = ANY (o.tasks) AND (o.queues IS NULL OR j.queue_name = ANY (o.queues)))) AS takers
FROM procrastinate_jobs j
LEFT JOIN alive_workers() AS w (id) ON true
LEFT JOIN our_workers o ON o.worker_id = w.id
WHERE j.id = %(id)s GROUP BY j.id

-- name: failures
-- Of the last 24 hours, by task and shape of the error, and by hour: the fifty of most runs, and the fifty
-- newest. `kinds`: how many there are in all.
WITH found AS (
    SELECT hour, task_name, shape, runs, first_at, last_at, job_id, error FROM failure_counts
    WHERE hour > now() - interval '24 hours'
    UNION ALL
    SELECT date_trunc('hour', last_at), task_name, shape, runs, first_at, last_at, job_id, error
    FROM failures_noted
),
groups AS (
    SELECT task_name, shape, (array_agg(error ORDER BY last_at DESC))[1] AS error,
           sum(runs)::bigint AS runs, min(first_at) AS first_at, max(last_at) AS last_at,
           row_number() OVER (ORDER BY sum(runs) DESC) AS by_runs,
           row_number() OVER (ORDER BY max(last_at) DESC) AS by_time, count(*) OVER () AS kinds
    FROM found GROUP BY task_name, shape
)
SELECT task_name, md5(shape) AS failure, error, runs, first_at, last_at,
       (SELECT array_agg(coalesce(h.runs, 0) ORDER BY slot)
        FROM generate_series(date_trunc('hour', now()) - interval '23 hours', now(), '1 hour') AS slot
        LEFT JOIN (SELECT f.hour, sum(f.runs)::bigint AS runs FROM found f
                   WHERE f.task_name = g.task_name AND f.shape = g.shape GROUP BY 1) AS h
            ON h.hour = slot) AS hours, kinds
FROM groups g WHERE by_runs <= 50 OR by_time <= 50 ORDER BY last_at DESC

-- name: jobs
SELECT j.id, j.status::text AS status, j.queue_name::text AS queue, j.task_name::text AS task,
       left(j.args::text, 1000) AS args, j.attempts, j.scheduled_at,
       (SELECT min(e.at) FROM procrastinate_events e
        WHERE e.job_id = j.id AND e.type = 'deferred') AS created_at,
       (SELECT left(e.error, 200) FROM job_errors e
        WHERE e.job_id = j.id ORDER BY e.at DESC LIMIT 1) AS error,
       (SELECT d.id FROM procrastinate_jobs d
        WHERE j.status = 'todo' AND d.lock = j.lock AND d.status = 'doing') AS blocked_by
FROM procrastinate_jobs j WHERE j.id = ANY (%(ids)s) ORDER BY j.id DESC

-- name: in_state
-- The ids of jobs by state, queue, task and time, newest first; they walk down the index of the state.
SELECT j.id FROM procrastinate_jobs j
WHERE (%(status)s::procrastinate_job_status IS NULL OR j.status = %(status)s)
  AND (%(situation)s::text IS NULL OR is_in_situation(j, %(situation)s))
  AND (%(queue)s::text IS NULL OR j.queue_name = %(queue)s)
  AND (%(task)s::text IS NULL OR j.task_name = %(task)s)
  AND j.id >= %(first)s AND j.id < %(last)s
ORDER BY j.id DESC LIMIT %(limit)s

-- name: with_failure
-- The same of one kind of error: among its newest ones, and when these do not fill a page, among all.
WITH newest AS MATERIALIZED (
    SELECT e.job_id FROM job_errors e
    WHERE md5(error_shape(e.error)) = %(failure)s AND e.job_id >= %(first)s AND e.job_id < %(last)s
    ORDER BY md5(error_shape(e.error)) DESC, e.job_id DESC LIMIT 2000
),
page AS MATERIALIZED (
    SELECT j.id FROM (SELECT DISTINCT job_id AS id FROM newest) AS failed JOIN procrastinate_jobs j USING (id)
    WHERE (%(status)s::procrastinate_job_status IS NULL OR j.status = %(status)s)
      AND (%(situation)s::text IS NULL OR is_in_situation(j, %(situation)s))
      AND (%(queue)s::text IS NULL OR j.queue_name = %(queue)s)
      AND (%(task)s::text IS NULL OR j.task_name = %(task)s)
    ORDER BY j.id DESC LIMIT %(limit)s
)
SELECT id FROM page
UNION
(SELECT j.id FROM procrastinate_jobs j
 WHERE (SELECT count(*) FROM page) < %(limit)s AND (SELECT count(*) FROM newest) = 2000
   AND (%(status)s::procrastinate_job_status IS NULL OR j.status = %(status)s)
   AND (%(situation)s::text IS NULL OR is_in_situation(j, %(situation)s))
   AND (%(queue)s::text IS NULL OR j.queue_name = %(queue)s)
   AND (%(task)s::text IS NULL OR j.task_name = %(task)s)
   AND j.id >= %(first)s AND j.id < %(last)s
   AND EXISTS (SELECT FROM job_errors e WHERE e.job_id = j.id AND md5(error_shape(e.error)) = %(failure)s)
 ORDER BY j.id DESC LIMIT %(limit)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: search
-- The same by words: jobs whose errors have them, and jobs whose arguments have all parts of the text.
-- Errors are found by the index of their words, if few have them; if many have, walking down the jobs
-- soon meets some. Arguments are looked for in the blocks of jobs that have the words (and the task, and
-- the queue), and among the newest jobs, which are in no block yet or have only a part of a word.
WITH newest AS (
    SELECT least(%(last)s - 10000, (SELECT coalesce(max(block) + 1, 0) * 1000 FROM job_words)) AS first
),
common AS MATERIALIZED (
    -- The index would be read to its end: of 100,000 errors and more a tenth has the words, of the newest and
    -- of older ones.
    SELECT least(count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new)) >= 20
           AND (SELECT reltuples > 100000 FROM pg_class WHERE oid = 'job_errors'::regclass) AS is_so
    FROM ((SELECT error, true AS is_new FROM job_errors ORDER BY at DESC LIMIT 200)
          UNION ALL
          (SELECT error, false FROM job_errors WHERE at < now() - interval '1 day'
           ORDER BY at DESC LIMIT 200)) AS samples
    WHERE to_tsvector('simple', error) @@ words_query(%(text)s, %(prefixes)s)
),
few AS MATERIALIZED (
    SELECT e.job_id FROM job_errors e
    WHERE NOT (SELECT is_so FROM common)
      AND to_tsvector('simple', e.error) @@ words_query(%(text)s, %(prefixes)s) LIMIT 10000
),
found AS (
    SELECT %(number)s::bigint AS id
    UNION
    (SELECT j.id FROM few JOIN procrastinate_jobs j ON j.id = few.job_id
     WHERE (SELECT count(*) FROM few) < 10000 AND j.id >= %(first)s AND j.id < %(last)s
       AND (%(status)s::procrastinate_job_status IS NULL OR j.status = %(status)s)
       AND (%(situation)s::text IS NULL OR is_in_situation(j, %(situation)s))
       AND (%(queue)s::text IS NULL OR j.queue_name = %(queue)s)
       AND (%(task)s::text IS NULL OR j.task_name = %(task)s)
     ORDER BY j.id DESC LIMIT %(limit)s)
    UNION
    (SELECT j.id FROM procrastinate_jobs j
     WHERE (SELECT is_so OR (SELECT count(*) FROM few) = 10000 FROM common) AND j.id >= %(first)s AND j.id < %(last)s
       AND (%(status)s::procrastinate_job_status IS NULL OR j.status = %(status)s)
       AND (%(situation)s::text IS NULL OR is_in_situation(j, %(situation)s))
       AND (%(queue)s::text IS NULL OR j.queue_name = %(queue)s)
       AND (%(task)s::text IS NULL OR j.task_name = %(task)s)
       AND EXISTS (SELECT FROM job_errors e WHERE e.job_id = j.id
                    AND to_tsvector('simple', e.error) @@ words_query(%(text)s, %(prefixes)s))
     ORDER BY j.id DESC LIMIT %(limit)s)
    UNION
    (SELECT j.id FROM newest JOIN procrastinate_jobs j
         ON j.id >= greatest(newest.first, %(first)s) AND j.id < %(last)s
     WHERE (%(status)s::procrastinate_job_status IS NULL OR j.status = %(status)s)
       AND (%(situation)s::text IS NULL OR is_in_situation(j, %(situation)s))
       AND (%(queue)s::text IS NULL OR j.queue_name = %(queue)s)
       AND (%(task)s::text IS NULL OR j.task_name = %(task)s)
       AND j.args::text LIKE ALL (%(parts)s::text[])
     ORDER BY j.id DESC LIMIT %(limit)s)
    UNION
    (SELECT job.id FROM (
         SELECT block FROM job_words
         WHERE words @> %(words)s::text[] AND block BETWEEN %(first)s / 1000 AND %(last)s / 1000
         ORDER BY block DESC
     ) AS b CROSS JOIN LATERAL (
         SELECT j.id FROM procrastinate_jobs j
         WHERE j.id >= greatest(b.block * 1000, %(first)s)
           AND j.id < least(b.block * 1000 + 1000, %(last)s)
           AND (%(status)s::procrastinate_job_status IS NULL OR j.status = %(status)s)
           AND (%(situation)s::text IS NULL OR is_in_situation(j, %(situation)s))
           AND (%(queue)s::text IS NULL OR j.queue_name = %(queue)s)
           AND (%(task)s::text IS NULL OR j.task_name = %(task)s)
           AND j.args::text LIKE ALL (%(parts)s::text[])
         ORDER BY j.id DESC
     ) AS job LIMIT %(limit)s)
)
SELECT j.id FROM found JOIN procrastinate_jobs j USING (id)
WHERE j.id < %(last)s AND (%(status)s::procrastinate_job_status IS NULL OR j.status = %(status)s)
  AND (%(situation)s::text IS NULL OR is_in_situation(j, %(situation)s))
  AND (%(queue)s::text IS NULL OR j.queue_name = %(queue)s)
  AND (%(task)s::text IS NULL OR j.task_name = %(task)s)
  AND (%(failure)s::text IS NULL OR EXISTS (
           SELECT FROM job_errors e WHERE e.job_id = j.id AND md5(error_shape(e.error)) = %(failure)s))
ORDER BY j.id DESC LIMIT %(limit)s

-- name: state_counts
-- Up to 10,000 of each. Each state is said for itself: of one that few jobs are in, the planner then
-- knows it, and takes the index.
WITH held AS (
    SELECT lock FROM procrastinate_jobs WHERE status = 'doing' AND lock IS NOT NULL
),
blocked AS (
    SELECT count(*) AS count FROM (
        SELECT FROM held JOIN procrastinate_jobs j USING (lock)
        WHERE j.status = 'todo' AND (j.scheduled_at IS NULL OR j.scheduled_at <= now()) LIMIT 10000) AS few
),
retrying AS (
    SELECT count(*) AS count FROM (
        SELECT FROM procrastinate_jobs
        WHERE status = 'todo' AND attempts > 0 AND scheduled_at > now() LIMIT 10000) AS few
),
later AS (
    SELECT count(*) AS count FROM (
        SELECT FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at > now() LIMIT 20000) AS few
),
ready AS (
    SELECT (SELECT count(*) FROM (
                SELECT FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at IS NULL
                LIMIT 20000) AS few)
         + (SELECT count(*) FROM (
                SELECT FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at <= now()
                LIMIT 20000) AS few) AS count
)
SELECT 'waiting' AS state, least(ready.count - blocked.count, 10000) AS count FROM ready, blocked
UNION ALL SELECT 'scheduled', least(later.count - retrying.count, 10000) FROM later, retrying
UNION ALL SELECT 'retrying', count FROM retrying
UNION ALL SELECT 'blocked', count FROM blocked
UNION ALL SELECT 'doing', count(*) FROM (
    SELECT FROM procrastinate_jobs WHERE status = 'doing' LIMIT 10000) AS few
UNION ALL SELECT 'failed', count(*) FROM (
    SELECT FROM procrastinate_jobs WHERE status = 'failed' LIMIT 10000) AS few
UNION ALL SELECT 'aborted', count(*) FROM (
    SELECT FROM procrastinate_jobs WHERE status = 'aborted' LIMIT 10000) AS few
UNION ALL SELECT 'cancelled', count(*) FROM (
    SELECT FROM procrastinate_jobs WHERE status = 'cancelled' LIMIT 10000) AS few
UNION ALL SELECT 'succeeded', count(*) FROM (
    SELECT FROM procrastinate_jobs WHERE status = 'succeeded' LIMIT 10000) AS few

-- name: ids
-- Of the first job and behind the last one that came within a time.
SELECT CASE WHEN %(start)s::timestamptz IS NULL THEN 0 ELSE first_job_since(%(start)s) END AS first,
       CASE WHEN %(until)s::timestamptz IS NULL THEN coalesce(max(id), 0) + 1
            ELSE first_job_since(%(until)s) END AS last
FROM procrastinate_jobs

-- name: job
SELECT j.id, j.status::text AS status, j.queue_name::text AS queue, j.task_name::text AS task,
       j.args::text AS args, j.attempts,
       (SELECT m.scheduled_at FROM monitoring.jobs m WHERE m.id = j.id) AS scheduled_at,
       j.priority, j.lock, j.queueing_lock, j.worker_id, j.abort_requested
FROM procrastinate_jobs j WHERE j.id = %(id)s

-- name: events
SELECT type::text AS type, at FROM procrastinate_events WHERE job_id = %(id)s ORDER BY id LIMIT 200

-- name: errors
SELECT attempt, at, kind, error, traceback FROM job_errors
WHERE job_id = %(id)s ORDER BY at DESC LIMIT 20

-- name: retry
-- Failed, aborted and cancelled jobs run again, now, from their first attempt on; of those with one
-- queueing lock the newest, if none waits.
UPDATE procrastinate_jobs j SET status = 'todo', attempts = 0, scheduled_at = NULL, worker_id = NULL,
                                abort_requested = false, lock = nullif(lock, 'suspects')
WHERE j.status IN ('failed', 'aborted', 'cancelled') AND j.id IN (
    SELECT DISTINCT ON (coalesce(c.queueing_lock, c.id::text)) c.id
    FROM procrastinate_jobs c
    WHERE c.id = ANY (%(ids)s) AND c.status IN ('failed', 'aborted', 'cancelled')
      AND NOT EXISTS (SELECT FROM procrastinate_jobs o
                      WHERE o.queueing_lock = c.queueing_lock AND o.status = 'todo')
    ORDER BY coalesce(c.queueing_lock, c.id::text), c.id DESC)
RETURNING id

-- name: run_again
-- Once more, with other arguments; the new job's id.
SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
    queue_name, task_name, priority, lock, queueing_lock, %(args)s, NULL)::procrastinate_job_to_defer_v1]))
FROM procrastinate_jobs WHERE id = %(id)s

-- name: run_now
-- Those that wait for their time; the others could start already, in the order of their priorities.
UPDATE procrastinate_jobs SET scheduled_at = now()
WHERE id = ANY (%(ids)s) AND status = 'todo' AND scheduled_at > now() RETURNING id

-- name: cancel
-- Waiting ones are cancelled, running ones asked to stop.
SELECT procrastinate_cancel_job_v1(id, true, false) AS id
FROM procrastinate_jobs WHERE id = ANY (%(ids)s) AND status IN ('todo', 'doing')

-- name: delete
-- Only what has ended: others may wait for the end of what has not.
DELETE FROM procrastinate_jobs WHERE id = ANY (%(ids)s) AND status NOT IN ('todo', 'doing') RETURNING id

-- name: matching
-- A page of ids of a bulk action, upwards.
SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM (
    SELECT j.id FROM procrastinate_jobs j
    WHERE j.id > %(after)s AND j.id <= %(until)s
      AND j.status = %(status)s
      AND (%(situation)s::text IS NULL OR is_in_situation(j, %(situation)s))
      AND (%(queue)s::text IS NULL OR j.queue_name = %(queue)s)
      AND (%(task)s::text IS NULL OR j.task_name = %(task)s)
      AND (%(failure)s::text IS NULL OR EXISTS (
               SELECT FROM job_errors e WHERE e.job_id = j.id AND md5(error_shape(e.error)) = %(failure)s))
      AND (%(text)s::text IS NULL OR EXISTS (
               SELECT FROM job_errors e WHERE e.job_id = j.id
                AND to_tsvector('simple', e.error) @@ words_query(%(text)s, %(prefixes)s))
           OR j.args::text LIKE ALL (%(parts)s::text[]) OR j.id = %(number)s)
    ORDER BY j.id LIMIT %(limit)s
) AS page

-- name: count_matching
SELECT count(*) FROM (
    SELECT FROM procrastinate_jobs j
    WHERE j.status = %(status)s
      AND (%(situation)s::text IS NULL OR is_in_situation(j, %(situation)s))
      AND (%(queue)s::text IS NULL OR j.queue_name = %(queue)s)
      AND (%(task)s::text IS NULL OR j.task_name = %(task)s)
      AND (%(failure)s::text IS NULL OR EXISTS (
               SELECT FROM job_errors e WHERE e.job_id = j.id AND md5(error_shape(e.error)) = %(failure)s))
      AND j.id >= %(first)s AND j.id < %(last)s
      AND (%(text)s::text IS NULL OR EXISTS (
               SELECT FROM job_errors e WHERE e.job_id = j.id
                AND to_tsvector('simple', e.error) @@ words_query(%(text)s, %(prefixes)s))
           OR j.args::text LIKE ALL (%(parts)s::text[]) OR j.id = %(number)s)
    LIMIT %(most)s
) AS counted

-- name: defer_bulk
-- The bulk action as a job whose progress is followed like any other.
WITH ticket AS (
    SELECT open_ticket_later(%(id)s, %(user_id)s, %(kind)s, 'activelog.monitoring.bulk',
                             'critical', %(args)s, NULL)
)
SELECT true FROM ticket

-- name: is_known_queue
-- A job ever came to it, or a worker names it.
SELECT %(queue)s IN (
    SELECT unnest(ARRAY['critical', 'default', 'low']) UNION SELECT waiting_queues()
    UNION SELECT queue_name FROM job_counts WHERE hour = 'infinity' UNION SELECT queue_name FROM job_outcomes
    UNION SELECT unnest(queues) FROM our_workers UNION SELECT queue_name FROM paused_queues
    UNION SELECT queue_name FROM queue_limits)

-- name: pause
INSERT INTO paused_queues (queue_name) VALUES (%(queue)s) ON CONFLICT DO NOTHING

-- name: resume
-- And wakes the workers.
WITH resumed AS (DELETE FROM paused_queues WHERE queue_name = %(queue)s RETURNING queue_name)
SELECT notify_queue(queue_name, 0, NULL) FROM resumed

-- name: limit
-- And wakes the workers.
WITH set AS (
    INSERT INTO queue_limits (queue_name, running) VALUES (%(queue)s, %(running)s)
    ON CONFLICT (queue_name) DO UPDATE SET running = excluded.running, at = now() RETURNING queue_name
)
SELECT notify_queue(queue_name, 0, NULL) FROM set

-- name: lift_limit
WITH lifted AS (DELETE FROM queue_limits WHERE queue_name = %(queue)s RETURNING queue_name)
SELECT notify_queue(queue_name, 0, NULL) FROM lifted

-- name: group_limit
INSERT INTO group_limits (work, running) VALUES (%(work)s, %(running)s)
ON CONFLICT (work) DO UPDATE SET running = excluded.running, at = now()

-- name: lift_group_limit
DELETE FROM group_limits WHERE work = %(work)s

-- name: admit_groups
-- Of whoever waits now; of any others when one of theirs ends.
SELECT count(admit_waiting(concurrency_group)) FROM (
    SELECT DISTINCT concurrency_group FROM job_tickets
    WHERE concurrency_group LIKE %(work)s || ' of %%' AND completed_at IS NULL AND cancelled_at IS NULL
      AND job_id IS NULL
    ORDER BY 1 LIMIT 1000
) AS waiting

-- name: group_limits
-- And how many wait for others of their person, outside of the queue; up to 10,000.
SELECT work, (SELECT running FROM group_limits g WHERE g.work = w.work), (
    SELECT count(*) FROM (
        SELECT FROM job_tickets
        WHERE concurrency_group LIKE w.work || ' of %%' AND completed_at IS NULL AND cancelled_at IS NULL
          AND job_id IS NULL LIMIT 10000) AS few) AS waiting
FROM unnest(%(works)s::text[]) AS w (work)

-- name: schedules
SELECT t.task_name, t.cron, to_timestamp(t.last_tick) AS last_tick, r.started_at, r.finished_at, r.outcome,
       r.counts, r.error, t.paused_at,
       ARRAY(SELECT round(extract(epoch FROM finished_at - started_at)::numeric, 1)::double precision
             FROM (SELECT * FROM schedule_runs s WHERE s.task_name = t.task_name AND s.finished_at IS NOT NULL
                   ORDER BY s.id DESC LIMIT 30) AS recent ORDER BY id) AS seconds
FROM schedule_ticks t
LEFT JOIN LATERAL (
    SELECT * FROM schedule_runs r WHERE r.task_name = t.task_name ORDER BY r.id DESC LIMIT 1
) AS r ON true
ORDER BY t.task_name

-- name: pause_schedule
UPDATE schedule_ticks SET paused_at = coalesce(paused_at, now()) WHERE task_name = %(task)s

-- name: resume_schedule
-- It goes on with its next tick: what passed meanwhile is not made up.
UPDATE schedule_ticks SET paused_at = NULL, last_tick = greatest(last_tick, extract(epoch FROM now())::bigint)
WHERE task_name = %(task)s AND paused_at IS NOT NULL

-- name: runs
SELECT task_name, tick, job_id, started_at, finished_at, outcome, counts, error
FROM schedule_runs ORDER BY id DESC LIMIT 50

-- name: mails
-- What a relay said, or a bounce, is looked for among the newest hundred thousand.
SELECT m.id, m.kind, m.user_id, m.dedup_key, m.state, m.attempts, m.answer, m.size, m.created_at,
       m.finished_at, m.bounce, m.bounce_said
FROM mails m
WHERE (%(state)s::text IS NULL OR m.state = %(state)s OR %(state)s = 'bounced' AND m.bounced_at IS NOT NULL)
  AND (%(kind)s::text IS NULL OR m.kind = %(kind)s)
  AND (%(user_id)s::bigint IS NULL OR m.user_id = %(user_id)s)
  AND (%(said)s::text IS NULL OR m.id > (SELECT max(id) - 100000 FROM mails)
       AND concat_ws(' ', m.answer, m.bounce_said) ILIKE %(said)s)
  AND (%(before)s::bigint IS NULL OR m.id < %(before)s)
ORDER BY m.id DESC LIMIT %(limit)s

-- name: person
-- By number or address; 0 for nobody.
SELECT coalesce((SELECT id FROM users WHERE id = %(id)s
                 OR lower(email) = lower(%(address)s::text COLLATE "C")
                 ORDER BY verified_at IS NULL, id LIMIT 1), 0)

-- name: send_again
-- Also to an address that was refused: whoever sends it again knows better. Not while a job is
-- to send it, or may be about to come.
WITH again AS (
    UPDATE mails m SET state = 'queued', finished_at = NULL, answer = NULL, turn_at = NULL
    WHERE id = %(id)s AND kind = %(kind)s AND (state NOT IN ('queued', 'sending') OR created_at < now() - interval '1 minute' AND NOT EXISTS (
        SELECT FROM procrastinate_jobs j
        WHERE j.status IN ('todo', 'doing') AND j.task_name = %(task)s AND j.args->>'user_id' = m.user_id::text
          AND (%(key)s = '' OR j.args->>%(key)s = m.dedup_key)))
    RETURNING user_id, dedup_key, address
),
lifted AS (
    DELETE FROM suppressed_addresses s USING again, users u
    WHERE u.id = again.user_id AND s.address = lower(coalesce(again.address, u.email))
)
SELECT procrastinate_defer_jobs_v1(array_agg(ROW(
    %(queue)s, %(task)s, 0, NULL, NULL,
    jsonb_build_object('user_id', user_id) || CASE WHEN %(key)s = '' THEN '{}'
        ELSE jsonb_build_object(%(key)s::text, dedup_key) END, NULL)::procrastinate_job_to_defer_v1))
FROM again HAVING count(*) > 0

-- name: slow_domains
SELECT domain, seconds, next_at, answer, slowed_at FROM mail_domains ORDER BY seconds DESC LIMIT 100

-- name: mail_kind
SELECT kind FROM mails WHERE id = %(id)s

-- name: troubles
-- What is wrong now: kinds of trouble, what they are about, how many. Each is asked by an index.
WITH takers AS MATERIALIZED (  -- stock ones do not say what they take
    SELECT o.tasks, o.queues FROM alive_workers() AS w (id) LEFT JOIN our_workers o ON o.worker_id = w.id
)
SELECT 'no worker' AS kind, '' AS subject, 0::bigint AS count, false AS more
WHERE NOT EXISTS (SELECT FROM takers)
UNION ALL
SELECT 'nobody takes', t.task, t.jobs, t.more FROM (
    SELECT j.task_name::text AS task, count(*) AS jobs, bool_or(j.seen = 5000) AS more
    FROM waiting_queues() AS q (name) CROSS JOIN LATERAL (
        (SELECT task_name, queue_name, count(*) OVER () AS seen FROM (
            SELECT task_name, queue_name FROM procrastinate_jobs WHERE queue_name = q.name
               AND status = 'todo' AND scheduled_at IS NULL AND lock IS NULL
            ORDER BY -priority, id LIMIT 5000) AS ready)
        UNION ALL
        (SELECT task_name, queue_name, count(*) OVER () FROM (
            SELECT task_name, queue_name FROM procrastinate_jobs WHERE queue_name = q.name
               AND status = 'todo' AND scheduled_at IS NULL AND lock IS NOT NULL
            ORDER BY lock, -priority, id LIMIT 5000) AS locked)
        UNION ALL
        (SELECT task_name, queue_name, count(*) OVER () FROM (
            SELECT task_name, queue_name FROM procrastinate_jobs WHERE queue_name = q.name
               AND status = 'todo' AND scheduled_at <= now() ORDER BY scheduled_at, id LIMIT 5000) AS due)
    ) AS j
    WHERE EXISTS (SELECT FROM takers) AND NOT EXISTS (
        SELECT FROM takers
        WHERE tasks IS NULL OR (j.task_name = ANY (tasks) AND (queues IS NULL OR j.queue_name = ANY (queues))))
    GROUP BY 1
) AS t
UNION ALL
SELECT 'full', l.queue_name, d.waiting, false FROM queue_limits l CROSS JOIN LATERAL queue_depth(l.queue_name) AS d
WHERE queue_room(l.queue_name, 1) = 0 AND d.oldest < now() - interval '5 minutes'
UNION ALL
SELECT 'waits', q.name, d.waiting, false FROM waiting_queues() AS q (name)
CROSS JOIN LATERAL queue_depth(q.name) AS d
CROSS JOIN LATERAL (  -- of those behind a lock more workers would start none
    SELECT j.id, j.task_name FROM procrastinate_jobs j
    WHERE j.queue_name = q.name AND j.status = 'todo' AND j.scheduled_at IS NULL AND j.lock IS NULL
    ORDER BY -j.priority, j.id LIMIT 1) AS first
WHERE d.oldest < now() - interval '5 minutes'
  AND (SELECT max(e.at) FROM procrastinate_events e WHERE e.job_id = first.id) < now() - interval '5 minutes'
  AND EXISTS (SELECT FROM takers
              WHERE tasks IS NULL OR (first.task_name = ANY (tasks) AND (queues IS NULL OR q.name = ANY (queues))))
  AND NOT EXISTS (SELECT FROM paused_queues p WHERE p.queue_name = q.name) AND queue_room(q.name, 1) > 0
UNION ALL
SELECT 'paused', p.queue_name, d.waiting, false
FROM paused_queues p CROSS JOIN LATERAL queue_depth(p.queue_name) AS d
UNION ALL
SELECT 'fails', task_name::text, count(*), count(*) = 2000 FROM (
    SELECT id, task_name FROM procrastinate_jobs WHERE status = 'failed' ORDER BY id DESC LIMIT 2000) AS j
WHERE EXISTS (SELECT FROM job_errors e WHERE e.job_id = j.id AND e.at > now() - interval '1 hour')
GROUP BY task_name HAVING count(*) > 5
UNION ALL
SELECT 'relay', '', 0, false WHERE most_mails_are_refused()
UNION ALL
SELECT 'relay away', '', count(*), false FROM (
    SELECT answer, claimed_at FROM mails WHERE state = 'queued' ORDER BY created_at LIMIT 1000) AS oldest
WHERE answer LIKE 'the mail relay %%' AND claimed_at > now() - interval '1 hour' AND NOT EXISTS (
    SELECT FROM mails m WHERE m.state = 'sent' AND coalesce(m.finished_at, m.claimed_at) > oldest.claimed_at)
HAVING count(*) > 0
UNION ALL
SELECT 'schedule paused', task_name, 1, false FROM schedule_ticks WHERE paused_at < now() - interval '1 day'
GROUP BY task_name
UNION ALL
SELECT 'deaths', task_name, sum(count)::bigint, false FROM job_activity
WHERE event = 'died' AND hour > now() - interval '2 hours' AND hour < 'infinity' GROUP BY task_name
UNION ALL
SELECT 'schedule', r.task_name, 1, false FROM schedule_ticks t CROSS JOIN LATERAL (
    SELECT task_name, outcome FROM schedule_runs s
    WHERE s.task_name = t.task_name AND s.tick IS NOT NULL AND s.outcome IS NOT NULL
    ORDER BY s.id DESC LIMIT 1) AS r
WHERE r.outcome = 'failed'

-- name: suppressed
SELECT address, answer, created_at, until FROM suppressed_addresses
WHERE until > now() - interval '7 days' ORDER BY created_at DESC LIMIT 100

-- name: audit
SELECT a.id, a.at, a.action, a.subject, u.name FROM audit a LEFT JOIN users u ON u.id = a.user_id
WHERE a.id < %(before)s ORDER BY a.id DESC LIMIT %(limit)s

-- name: make_admin
-- No row when nobody has the address; whether it changed anything.
WITH found AS (
    SELECT id, is_admin FROM users WHERE lower(email) = lower(%(email)s::text COLLATE "C") AND verified_at IS NOT NULL
),
changed AS (
    UPDATE users u SET is_admin = %(wanted)s FROM found
    WHERE u.id = found.id AND found.is_admin <> %(wanted)s RETURNING u.id
)
SELECT found.id AS user_id, changed.id IS NOT NULL AS is_changed FROM found LEFT JOIN changed USING (id)

-- name: note
INSERT INTO audit (user_id, action, subject) VALUES (%(user_id)s, %(action)s, %(subject)s)

-- name: run_schedule
-- No row for a task that is no schedule.
SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(
    queue_name, task_name, 0, lock, NULL, %(args)s, NULL)::procrastinate_job_to_defer_v1])
FROM schedule_ticks WHERE task_name = %(task)s AND queue_name IS NOT NULL LIMIT 1
