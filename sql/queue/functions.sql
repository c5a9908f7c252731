-- The queue in Postgres: what wakes workers, and how jobs are claimed, finished and rescued.

-- One NOTIFY a statement and queue, in the engine's channels and words: stock workers wake, too.
-- Our workers read more: of which queue, and of how many jobs (NULL: all workers are to look).
CREATE OR REPLACE FUNCTION notify_queue(_queue text, _job bigint, _jobs bigint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify(channel, json_build_object('type', 'job_inserted', 'job_id', _job,
                                                'queue', _queue, 'jobs', _jobs)::text)
    FROM unnest(ARRAY['procrastinate_queue_v1#' || _queue, 'procrastinate_any_queue_v1']) AS channel
$$;

-- Wakes all workers, whatever queues they take, when a job waits for this lock, whatever its queue.
CREATE OR REPLACE FUNCTION notify_lock(_lock text) RETURNS void LANGUAGE sql AS $$
    SELECT notify_queue(queue, first.id, NULL)
    FROM (SELECT j.id FROM procrastinate_jobs j WHERE j.lock = _lock AND j.status = 'todo'
          ORDER BY j.id LIMIT 1) AS first,
         (SELECT DISTINCT unnest(coalesce(queues, '{""}')) AS queue FROM our_workers) AS taken
$$;

-- The engine's row triggers, as statement triggers: the same events and notifications for a batch at
-- the price of one.
CREATE OR REPLACE FUNCTION on_jobs_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO procrastinate_events (job_id, type)
    SELECT id, 'deferred' FROM new_jobs WHERE status = 'todo';
    INSERT INTO procrastinate_events (job_id, type, at)
    SELECT id, 'scheduled', scheduled_at FROM new_jobs
    WHERE status = 'todo' AND scheduled_at IS NOT NULL;
    PERFORM notify_queue(queue_name, max(id), count(*)) FROM new_jobs WHERE status = 'todo'
    GROUP BY queue_name;
    RETURN NULL;
END;
$$;

-- It joins by hash whatever the first statement of a session was like: its plan is kept.
CREATE OR REPLACE FUNCTION on_jobs_updated() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = on SET enable_nestloop = off SET enable_mergejoin = off AS $$
BEGIN
    WITH changed AS MATERIALIZED (
        SELECT n.id, o.status AS before, n.status AS after, n.scheduled_at
        FROM old_jobs o JOIN new_jobs n USING (id)
    )
    INSERT INTO procrastinate_events (job_id, type, at)
    SELECT id, (CASE
        WHEN after = 'doing' THEN 'started'
        WHEN before = 'doing' THEN CASE after
            WHEN 'succeeded' THEN 'succeeded' WHEN 'failed' THEN 'failed' WHEN 'aborted' THEN 'aborted'
            ELSE 'deferred_for_retry' END
        WHEN after = 'todo' THEN 'retried'
        ELSE 'cancelled' END)::procrastinate_job_event_type, now()
    FROM changed
    WHERE (before = 'todo' AND after IN ('doing', 'cancelled', 'failed', 'succeeded'))
       OR (before = 'doing' AND after IN ('todo', 'failed', 'succeeded', 'aborted'))
       OR (before IN ('failed', 'aborted', 'cancelled') AND after = 'todo')
    UNION ALL
    SELECT id, 'scheduled', scheduled_at FROM changed
    WHERE after = 'todo' AND scheduled_at IS NOT NULL;

    -- The engine's triggers do not notify here. Without it these jobs would wait for the next poll: handed
    -- back, started early, moved to another queue, behind a lock that is free now.
    IF EXISTS (SELECT FROM new_jobs WHERE status = 'todo') THEN
        PERFORM notify_queue(n.queue_name, max(n.id), count(*))
        FROM old_jobs o JOIN new_jobs n USING (id)
        WHERE (o.status <> 'todo' OR o.scheduled_at > now() OR o.queue_name <> n.queue_name)
          AND n.status = 'todo' AND coalesce(n.scheduled_at, now()) <= now()
        GROUP BY n.queue_name;
    END IF;
    IF EXISTS (SELECT FROM queue_limits) THEN
        PERFORM notify_queue(o.queue_name, max(o.id), count(*))
        FROM old_jobs o JOIN new_jobs n USING (id) JOIN queue_limits l ON l.queue_name = o.queue_name
        WHERE o.status = 'doing' AND n.status <> 'doing' GROUP BY o.queue_name;
    END IF;
    IF EXISTS (SELECT FROM old_jobs WHERE status = 'doing' AND lock IS NOT NULL) THEN
        PERFORM notify_lock(o.lock) FROM old_jobs o JOIN new_jobs n USING (id)
        WHERE o.status = 'doing' AND n.status <> 'doing' AND o.lock IS NOT NULL;
    END IF;
    RETURN NULL;
END;
$$;

-- Deletes the events of deleted jobs, and wakes the workers that wait for their locks.
CREATE OR REPLACE FUNCTION on_jobs_deleted() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    DELETE FROM procrastinate_events e USING old_jobs o WHERE e.job_id = o.id;
    PERFORM notify_lock(o.lock) FROM old_jobs o WHERE o.status = 'doing' AND o.lock IS NOT NULL;
    PERFORM notify_queue(o.queue_name, max(o.id), count(*))
    FROM old_jobs o JOIN queue_limits l USING (queue_name) WHERE o.status = 'doing' GROUP BY o.queue_name;
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION on_jobs_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE procrastinate_events;
    RETURN NULL;
END;
$$;

-- A worker that goes leaves running jobs without one, as the engine's foreign key did; jobs that ended
-- are not written again.
CREATE OR REPLACE FUNCTION on_workers_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE procrastinate_jobs j SET worker_id = NULL
    FROM old_workers w WHERE j.worker_id = w.id AND j.status = 'doing';
    RETURN NULL;
END;
$$;

-- The queues where jobs wait: a hop a queue through each of our three indexes, whatever their number.
CREATE OR REPLACE FUNCTION waiting_queues() RETURNS SETOF text LANGUAGE plpgsql STABLE ROWS 10
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    WITH RECURSIVE names (ready, locked, later) AS (
        SELECT ''::varchar, ''::varchar, ''::varchar
        UNION ALL
        SELECT (SELECT j.queue_name FROM procrastinate_jobs j
                WHERE j.queue_name > names.ready AND j.status = 'todo' AND j.scheduled_at IS NULL
                  AND j.lock IS NULL ORDER BY j.queue_name LIMIT 1),
               (SELECT j.queue_name FROM procrastinate_jobs j
                WHERE j.queue_name > names.locked AND j.status = 'todo' AND j.scheduled_at IS NULL
                  AND j.lock IS NOT NULL ORDER BY j.queue_name LIMIT 1),
               (SELECT j.queue_name FROM procrastinate_jobs j
                WHERE j.queue_name > names.later AND j.status = 'todo' AND j.scheduled_at IS NOT NULL
                ORDER BY j.queue_name LIMIT 1)
        FROM names WHERE coalesce(ready, locked, later) IS NOT NULL
    )
    SELECT DISTINCT name::text FROM names, unnest(ARRAY[ready, locked, later]) AS name WHERE name <> '';
END;
$$;

-- How many more jobs of a queue may start at once. _most: if it has no limit.
CREATE OR REPLACE FUNCTION queue_room(_queue text, _most integer) RETURNS integer LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    _limit integer := (SELECT running FROM queue_limits WHERE queue_name = _queue);
BEGIN
    RETURN CASE WHEN _limit IS NULL THEN _most ELSE greatest(0, least(_most, _limit - (
        SELECT count(*) FROM procrastinate_jobs WHERE queue_name = _queue AND status = 'doing'))) END;
END;
$$;

-- Jobs whose time has come, the longest due first, stop waiting for it: from here on claiming treats
-- them like all others. (When it was is in their events.)
CREATE OR REPLACE FUNCTION release_due(_queues text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    _due bigint[] := ARRAY(
        SELECT due.id FROM unnest(_queues) AS q (name) CROSS JOIN LATERAL (
            SELECT j.id FROM procrastinate_jobs j
            WHERE j.queue_name = q.name AND j.status = 'todo' AND j.scheduled_at <= now()
            ORDER BY j.scheduled_at, j.id LIMIT 1000 FOR UPDATE SKIP LOCKED
        ) AS due);
BEGIN
    IF cardinality(_due) > 0 THEN
        UPDATE procrastinate_jobs j SET scheduled_at = NULL WHERE j.id = ANY (_due);
    END IF;
END;
$$;

-- The jobs of a queue that are first of those that wait for a lock that nobody holds, _slots at most,
-- higher priority and then the older one first. It hops from lock to lock, so how many wait for one
-- costs nothing; of very many locks it takes the first hundred that have such a job, in the order of
-- their names.
CREATE OR REPLACE FUNCTION first_behind_locks(_queue text, _tasks text[], _slots integer)
RETURNS SETOF bigint LANGUAGE plpgsql STABLE ROWS 10 AS $$
BEGIN
    RETURN QUERY
    WITH RECURSIVE locks (lock, id, priority, hops, usable) AS (
        SELECT ''::text, NULL::bigint, NULL::integer, 0, 0
        UNION ALL
        SELECT next.lock, first.id, first.priority, hops + 1, usable + (first.id IS NOT NULL)::integer
        FROM locks CROSS JOIN LATERAL (
            SELECT j.lock FROM procrastinate_jobs j
            WHERE j.queue_name = _queue AND j.status = 'todo' AND j.scheduled_at IS NULL
              AND j.lock > locks.lock
            ORDER BY j.lock LIMIT 1
        ) AS next LEFT JOIN LATERAL (
            SELECT j.id, j.priority FROM procrastinate_jobs j
            WHERE j.queue_name = _queue AND j.lock = next.lock AND j.status = 'todo'
              AND j.scheduled_at IS NULL AND j.task_name = ANY (_tasks)
              AND NOT EXISTS (SELECT FROM procrastinate_jobs held
                              WHERE held.lock = next.lock AND held.status = 'doing')
            ORDER BY -j.priority, j.id LIMIT 1
        ) AS first ON true
        WHERE usable < 100 AND hops < 10000
    )
    SELECT l.id FROM locks l WHERE l.id IS NOT NULL ORDER BY l.priority DESC, l.id LIMIT _slots;
END;
$$;

-- Seconds until a job of these queues can start: 0 or less when one seems to be able to now, NULL when
-- none waits. Jobs behind a lock that is held do not count: the end of its holder wakes workers.
CREATE OR REPLACE FUNCTION seconds_until_ready(_queues text[], _tasks text[])
RETURNS double precision LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT extract(epoch FROM min(ready.at)) - extract(epoch FROM clock_timestamp())
        FROM unnest(_queues) AS q (name) CROSS JOIN LATERAL (
            (SELECT now() AS at FROM procrastinate_jobs j
             WHERE j.queue_name = q.name AND j.status = 'todo' AND j.scheduled_at IS NULL
               AND j.lock IS NULL AND j.task_name = ANY (_tasks) ORDER BY -j.priority, j.id LIMIT 1)
            UNION ALL
            SELECT now() FROM first_behind_locks(q.name, _tasks, 1)
            UNION ALL
            (SELECT j.scheduled_at FROM procrastinate_jobs j
             WHERE j.queue_name = q.name AND j.status = 'todo' AND j.scheduled_at IS NOT NULL
               AND j.task_name = ANY (_tasks) ORDER BY j.scheduled_at, j.id LIMIT 1)
        ) AS ready);
END;
$$;

-- Claims up to _slots jobs of _queues (NULL: of all) for a worker, in the order in which they are to
-- start. When there are fewer, a last row without an id says in `ready_in` how many seconds it takes
-- until the next one can start.
--
-- Shares of queues (_names, _weights, _passes) and where in each the look begins (_priorities, _ids):
-- activelog/queue/claims.py. A queue that is not named weighs 1 and starts level with the one that is
-- furthest behind. Within a queue the higher priority goes first, then the older job.
--
-- A row that another worker is claiming is skipped, and so is one whose lock another worker is taking,
-- maybe for a job of another queue. After locking, a newer snapshot says whether a job holds the lock
-- since: nobody ever waits at the index that keeps them apart, which would be a deadlock of two that
-- want each other's locks, and nobody fails there.
--
-- Its plan must not follow the statistics: a queue is empty and full within a second, and a plan lives
-- as long as its session. So our indexes are walked in their order, jobs are found by an array of ids,
-- IS TRUE hides a condition from indexes that would be walked from end to end for it, and -priority in
-- place of priority DESC keeps the planner from the engine's index, which has every queue's jobs in
-- one order.
CREATE OR REPLACE FUNCTION claim_jobs(
    _worker bigint, _slots integer, _tasks text[], _queues text[],
    _names text[], _weights double precision[], _passes double precision[],
    _priorities integer[], _ids bigint[]
) RETURNS TABLE (
    id bigint, task_name text, priority integer, lock text, queueing_lock text, args text,
    scheduled_at timestamptz, queue_name text, attempts integer, abort_requested boolean,
    waited double precision, ready_in double precision
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    _has_limits boolean := EXISTS (SELECT FROM queue_limits);
    _open text[] := ARRAY(
        SELECT q.name FROM (SELECT unnest(_queues) AS name
                            UNION SELECT waiting_queues() WHERE _queues IS NULL) AS q
        WHERE NOT EXISTS (SELECT FROM paused_queues p WHERE p.queue_name = q.name)
          AND EXISTS (SELECT FROM procrastinate_workers w WHERE w.id = _worker)
          AND (NOT _has_limits OR queue_room(q.name, 1) > 0));
    _picked bigint[];
    _picked_locks text[];
    _claimed integer;
BEGIN
    PERFORM release_due(_open);
    -- Two workers do not count at the same time what runs in a queue that has a limit.
    PERFORM pg_advisory_xact_lock('queue_limits'::regclass::oid::integer, hashtext(queue_name))
    FROM (SELECT queue_name FROM queue_limits WHERE queue_name = ANY (_open) ORDER BY 1 OFFSET 0) AS l;
    WITH shares AS MATERIALIZED (
        SELECT o.name AS queue, coalesce(q.weight, 1) AS weight,
               CASE WHEN _has_limits THEN queue_room(o.name, _slots) ELSE _slots END AS room,
               coalesce(q.pass, (SELECT min(pass) FROM unnest(_passes) AS pass), 0) AS pass,
               coalesce(q.priority, 2147483647) AS first_priority, coalesce(q.id, 0) AS first_id
        FROM unnest(_open) AS o (name)
        LEFT JOIN unnest(_names, _weights, _passes, _priorities, _ids)
            AS q (name, weight, pass, priority, id) USING (name)
    ),
    waiting AS (
        SELECT queue, first_priority, first_id, room, row_number() OVER (PARTITION BY queue) AS place,
               pass + row_number() OVER (PARTITION BY queue) / weight AS turn
        FROM shares CROSS JOIN LATERAL (
            (SELECT FROM procrastinate_jobs j
             WHERE j.queue_name = queue AND j.status = 'todo'
               AND j.scheduled_at IS NULL AND j.lock IS NULL AND j.task_name = ANY (_tasks)
               AND (-j.priority, j.id) >= (-first_priority, first_id)
             ORDER BY -j.priority, j.id LIMIT room)
            UNION ALL
            (SELECT FROM first_behind_locks(queue, _tasks, room))
        ) AS job
    ),
    quotas AS (
        SELECT queue, first_priority, first_id, count(*) AS quota
        FROM (SELECT * FROM waiting WHERE place <= room ORDER BY turn LIMIT _slots) AS next_starts
        GROUP BY queue, first_priority, first_id
    ),
    ready AS (
        SELECT job.* FROM quotas CROSS JOIN LATERAL (
            SELECT j.id, j.queue_name, j.priority, j.lock FROM procrastinate_jobs j
            WHERE j.queue_name = queue AND j.status = 'todo'
              AND j.scheduled_at IS NULL AND j.lock IS NULL AND j.task_name = ANY (_tasks)
              AND (-j.priority, j.id) >= (-first_priority, first_id)
            ORDER BY -j.priority, j.id LIMIT quota
            FOR UPDATE SKIP LOCKED
        ) AS job
    ),
    locked AS (
        SELECT job.* FROM quotas
        CROSS JOIN LATERAL first_behind_locks(queue, _tasks, quota::integer) AS first (id)
        CROSS JOIN LATERAL (
            SELECT j.id, j.queue_name, j.priority, j.lock FROM procrastinate_jobs j
            WHERE j.id = first.id AND (j.status = 'todo') IS TRUE
              AND pg_try_advisory_xact_lock('procrastinate_jobs'::regclass::oid::integer,
                                            hashtext(j.lock))
            FOR UPDATE SKIP LOCKED
        ) AS job
    ),
    ranked AS (
        SELECT c.id, c.lock, quotas.quota,
               row_number() OVER (PARTITION BY c.queue_name ORDER BY c.priority DESC, c.id) AS place
        FROM (SELECT * FROM ready UNION ALL SELECT DISTINCT ON (lock) * FROM locked) AS c
        JOIN quotas ON quotas.queue = c.queue_name
    )
    SELECT array_agg(r.id), array_agg(r.lock) INTO _picked, _picked_locks
    FROM ranked r WHERE place <= quota;

    RETURN QUERY
    WITH claimed AS (
        UPDATE procrastinate_jobs AS j SET status = 'doing', worker_id = _worker
        WHERE j.id = ANY (ARRAY(
            SELECT p.id FROM unnest(_picked, _picked_locks) AS p (id, lock)
            WHERE NOT EXISTS (SELECT FROM procrastinate_jobs held
                              WHERE held.lock = p.lock AND held.status = 'doing')))
        RETURNING j.*
    )
    SELECT c.id, c.task_name::text, c.priority, c.lock, c.queueing_lock, c.args::text, c.scheduled_at,
           c.queue_name::text, c.attempts, c.abort_requested,
           extract(epoch FROM clock_timestamp() - (
               SELECT max(e.at) FROM procrastinate_events e WHERE e.job_id = c.id AND e.type IN
                   ('deferred', 'deferred_for_retry', 'retried', 'scheduled')
                   AND e.at BETWEEN 'epoch' AND clock_timestamp()
           ))::double precision, NULL::double precision
    FROM claimed c
    ORDER BY _weights[array_position(_names, c.queue_name::text)] DESC NULLS LAST, c.priority DESC, c.id;
    GET DIAGNOSTICS _claimed = ROW_COUNT;
    IF _claimed < _slots THEN
        ready_in := seconds_until_ready(
            ARRAY(SELECT name FROM unnest(_open) AS name
                  WHERE NOT _has_limits OR queue_room(name, 1) > 0), _tasks);
        RETURN NEXT;
    END IF;
END;
$$;

-- Writes the outcomes of runs and returns the ids it wrote: of jobs that are still `doing` for the
-- worker that claimed them. _statuses holds `todo` for a retry; a retry of a job that somebody asked to
-- abort ends as `aborted`. _spent is false where a run is handed back unfinished.
CREATE OR REPLACE FUNCTION finish_jobs(
    _ids bigint[], _workers bigint[], _statuses procrastinate_job_status[], _spent boolean[],
    _retry_at timestamptz[]
) RETURNS SETOF bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off
SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    UPDATE procrastinate_jobs AS j
    SET status = CASE WHEN e.status = 'todo' AND j.abort_requested THEN 'aborted' ELSE e.status END,
        attempts = j.attempts + e.spent::integer,
        scheduled_at = CASE WHEN e.status = 'todo' THEN e.retry_at ELSE j.scheduled_at END,
        abort_requested = false,
        worker_id = NULL
    FROM unnest(_ids, _workers, _statuses, _spent, _retry_at)
        AS e (id, worker_id, status, spent, retry_at)
    WHERE j.id = ANY (_ids) AND (j.status = 'doing') IS TRUE
      AND e.id = j.id AND e.worker_id = j.worker_id
    RETURNING j.id;
END;
$$;

-- Workers without a sign of life: ours since _silence, stock ones, which beat every ten seconds, since
-- _stock_silence.
CREATE OR REPLACE FUNCTION is_dead(
    _worker procrastinate_workers, _silence interval, _stock_silence interval
) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT _worker.last_heartbeat < now() - CASE
        WHEN EXISTS (SELECT FROM our_workers o WHERE o.worker_id = _worker.id)
        THEN _silence ELSE _stock_silence END
$$;

-- For people: ours have beaten within ten seconds, stock ones within thirty.
CREATE OR REPLACE FUNCTION alive_workers() RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
    SELECT w.id FROM procrastinate_workers w WHERE NOT is_dead(w, '10 seconds', '30 seconds')
$$;

-- Puts the jobs of dead workers back, for a worker that is itself alive, and removes those workers. No
-- attempt is spent.
--
-- A job that _deaths workers died with is taken for their killer and fails. What ran beside it died as
-- often, so from its second death on a suspect runs alone: all of them share a lock. If several still
-- die at once (they have locks of their own), none is blamed until it happened three times as often.
-- Deaths from before a retry by hand do not count.
CREATE OR REPLACE FUNCTION rescue_jobs(
    _worker bigint, _silence interval, _stock_silence interval, _deaths integer
) RETURNS TABLE (job_id bigint, task_name text, failed boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT FROM procrastinate_workers me
                   WHERE me.id = _worker AND me.last_heartbeat > now() - _silence / 2) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH orphans AS (
        SELECT j.id, j.worker_id, (
                   SELECT count(*) FROM job_errors e
                   WHERE e.job_id = j.id AND e.kind = 'death' AND e.at > coalesce((
                       SELECT max(r.at) FROM procrastinate_events r
                       WHERE r.job_id = j.id AND r.type = 'retried'), '-infinity')) + 1 AS deaths
        FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
        WHERE j.status = 'doing' AND (w.id IS NULL OR is_dead(w, _silence, _stock_silence))
    ),
    locked AS (  -- unless somebody else rescued and claimed it meanwhile
        SELECT j.id, j.worker_id, j.queueing_lock, o.deaths
        FROM orphans o JOIN procrastinate_jobs j USING (id)
        WHERE j.status = 'doing' AND j.worker_id IS NOT DISTINCT FROM o.worker_id
        FOR UPDATE OF j SKIP LOCKED
    ),
    judged AS (
        SELECT l.id, l.deaths,
               l.deaths >= _deaths AND count(*) FILTER (WHERE l.deaths >= _deaths)
                                       OVER (PARTITION BY l.worker_id) = 1
               OR l.deaths >= 3 * _deaths AS poisonous,
               l.queueing_lock IS NOT NULL AND (
                   row_number() OVER (PARTITION BY l.queueing_lock ORDER BY l.id) > 1
                   OR EXISTS (SELECT FROM procrastinate_jobs o
                              WHERE o.queueing_lock = l.queueing_lock AND o.status = 'todo')) AS is_second
        FROM locked l
    ),
    deaths AS (
        INSERT INTO job_errors (job_id, attempt, kind, error, public_error)
        SELECT j.id, j.attempts + 1, 'death',
               'the worker that ran this job died' || CASE
                   WHEN poisonous THEN format(' (%s times: taken for the cause)', judged.deaths)
                   WHEN is_second THEN ', and another job has its queueing lock' ELSE '' END,
               CASE WHEN poisonous OR is_second THEN 'the job could not be finished' END
        FROM judged JOIN procrastinate_jobs j USING (id)
    ),
    counted AS (
        INSERT INTO job_outcomes (task_name, queue_name, event, count)
        SELECT j.task_name, j.queue_name, 'died', count(*)
        FROM judged JOIN procrastinate_jobs j USING (id) GROUP BY 1, 2
    )
    UPDATE procrastinate_jobs j
    SET status = CASE WHEN poisonous OR is_second THEN 'failed' WHEN j.abort_requested THEN 'aborted'
                      ELSE 'todo' END::procrastinate_job_status,
        lock = CASE WHEN judged.deaths > 1 THEN coalesce(j.lock, 'suspects') ELSE j.lock END,
        abort_requested = false,
        worker_id = NULL
    FROM judged WHERE j.id = judged.id
    RETURNING j.id, j.task_name::text, j.status <> 'todo';
    DELETE FROM procrastinate_workers w
    WHERE is_dead(w, _silence, _stock_silence)
      AND NOT EXISTS (SELECT FROM procrastinate_jobs j WHERE j.worker_id = w.id AND j.status = 'doing');
END;
$$;
