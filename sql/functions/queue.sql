-- The queue's functions as they are now: `activelog migrate` makes them anew, so each stands in one
-- place. (Their copies in sql/migrations are of the past.)

-- One NOTIFY a statement and queue, in the engine's channels and words, so stock workers wake, too.
CREATE OR REPLACE FUNCTION notify_queue(_queue text, _job bigint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify(channel, json_build_object('type', 'job_inserted', 'job_id', _job)::text)
    FROM unnest(ARRAY['procrastinate_queue_v1#' || _queue, 'procrastinate_any_queue_v1']) AS channel
$$;

-- The queues where jobs with a lock wait: a hop a queue through each of two indexes.
CREATE OR REPLACE FUNCTION locked_queues() RETURNS SETOF text LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    WITH RECURSIVE names (ready, later) AS (
        SELECT ''::varchar, ''::varchar
        UNION ALL
        SELECT (SELECT j.queue_name FROM procrastinate_jobs j
                WHERE j.queue_name > names.ready AND j.status = 'todo' AND j.scheduled_at IS NULL
                  AND j.lock IS NOT NULL ORDER BY j.queue_name LIMIT 1),
               (SELECT j.queue_name FROM procrastinate_jobs j
                WHERE j.queue_name > names.later AND j.status = 'todo' AND j.scheduled_at IS NOT NULL
                  AND j.lock IS NOT NULL ORDER BY j.queue_name LIMIT 1)
        FROM names WHERE coalesce(ready, later) IS NOT NULL
    )
    SELECT DISTINCT name::text FROM names, unnest(ARRAY[ready, later]) AS name WHERE name <> ''
$$;

-- Wakes who can start a job that waited for this lock, but for _worker, which has just looked.
CREATE OR REPLACE FUNCTION notify_lock_line(_lock text, _worker bigint) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM waiting_workers w WHERE w.id IS DISTINCT FROM _worker)
       AND NOT EXISTS (SELECT FROM procrastinate_jobs held
                       WHERE held.lock = _lock AND held.status = 'doing') THEN
        PERFORM notify_queue(queue, first.id)
        FROM locked_queues() AS queue CROSS JOIN LATERAL (
            (SELECT j.id FROM procrastinate_jobs j
             WHERE j.queue_name = queue AND j.lock = _lock AND j.status = 'todo'
               AND j.scheduled_at IS NULL ORDER BY -j.priority, j.id LIMIT 1)
            UNION ALL
            (SELECT j.id FROM procrastinate_jobs j
             WHERE j.queue_name = queue AND j.lock = _lock AND j.status = 'todo'
               AND j.scheduled_at <= now() ORDER BY j.scheduled_at, j.id LIMIT 1)
            LIMIT 1
        ) AS first;
    END IF;
END;
$$;

-- The engine's row triggers, as statement triggers: the same events and notifications for a batch at
-- the price of one. Jobs are counted in a line of the session's own: nobody waits for another one's
-- transaction.
CREATE OR REPLACE FUNCTION on_jobs_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO procrastinate_events (job_id, type)
    SELECT id, 'deferred' FROM new_jobs WHERE status = 'todo';
    INSERT INTO procrastinate_events (job_id, type, at)
    SELECT id, 'scheduled', scheduled_at FROM new_jobs
    WHERE status = 'todo' AND scheduled_at IS NOT NULL;
    INSERT INTO job_counts AS c (hour, slot, task_name, queue_name, event, count)
    SELECT l.hour, 1000 + pg_backend_pid() % 1024, task_name, queue_name, 'enqueued', count
    FROM (SELECT task_name, queue_name, count(*) FROM new_jobs WHERE status = 'todo' GROUP BY 1, 2) AS n,
         (VALUES (date_trunc('hour', now())), ('infinity')) AS l (hour)
    ORDER BY task_name, queue_name, l.hour
    ON CONFLICT (hour, slot, task_name, queue_name, event) DO UPDATE
        SET count = c.count + excluded.count;
    IF EXISTS (SELECT FROM waiting_workers) THEN
        PERFORM notify_queue(queue_name, max(id))
        FROM new_jobs WHERE status = 'todo' GROUP BY queue_name;
    END IF;
    RETURN NULL;
END;
$$;

-- It joins by hash whatever the first statement of a session was like: its plan is kept. What
-- claim_jobs starts it does not see.
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
        WHEN before = 'failed' THEN 'retried'
        ELSE 'cancelled' END)::procrastinate_job_event_type, now()
    FROM changed
    WHERE (before = 'todo' AND after IN ('doing', 'cancelled', 'failed', 'succeeded'))
       OR (before = 'doing' AND after IN ('todo', 'failed', 'succeeded', 'aborted'))
       OR (before = 'failed' AND after = 'todo')
    UNION ALL
    SELECT id, 'scheduled', scheduled_at FROM changed
    WHERE after = 'todo' AND scheduled_at IS NOT NULL;

    -- The engine does not: a job that is handed back, is to start now after all, comes to another
    -- queue, or waited for a lock, would wait for somebody's next poll. (Our workers look at the locks
    -- of what they finish themselves, after their next claim.)
    IF EXISTS (SELECT FROM new_jobs WHERE status = 'todo') THEN
        PERFORM notify_queue(n.queue_name, max(n.id))
        FROM old_jobs o JOIN new_jobs n USING (id)
        WHERE (o.status <> 'todo' OR o.scheduled_at > now() OR o.queue_name <> n.queue_name)
          AND n.status = 'todo' AND coalesce(n.scheduled_at, now()) <= now()
        GROUP BY n.queue_name;
    END IF;
    IF current_setting('activelog.locks', true) IS DISTINCT FROM 'seen to'
       AND EXISTS (SELECT FROM old_jobs WHERE status = 'doing' AND lock IS NOT NULL) THEN
        PERFORM notify_lock_line(o.lock, NULL)
        FROM old_jobs o JOIN new_jobs n USING (id)
        WHERE o.status = 'doing' AND n.status <> 'doing' AND o.lock IS NOT NULL;
    END IF;
    RETURN NULL;
END;
$$;

-- What foreign keys would do for each of them, and a turn for whoever waits behind one: for its lock,
-- or in its line.
CREATE OR REPLACE FUNCTION on_jobs_deleted() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    DELETE FROM procrastinate_events e USING old_jobs o WHERE e.job_id = o.id;
    PERFORM notify_lock_line(o.lock, NULL) FROM old_jobs o WHERE o.status = 'doing' AND o.lock IS NOT NULL;
    PERFORM advance_line(left_by.line) FROM (
        SELECT DISTINCT t.line FROM job_tickets t
        WHERE t.line IS NOT NULL AND t.completed_at IS NULL AND t.cancelled_at IS NULL
          AND t.job_id = ANY (ARRAY(SELECT id FROM old_jobs))
        ORDER BY t.line
    ) AS left_by;
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

-- The first in the line of a lock, of those that wait for nothing else; none while the lock is held.
CREATE OR REPLACE FUNCTION lock_line_head(_queue text, _lock text, _tasks text[])
RETURNS TABLE (id bigint, priority integer) LANGUAGE sql STABLE AS $$
    SELECT j.id, j.priority FROM procrastinate_jobs j
    WHERE j.queue_name = _queue AND j.lock = _lock AND j.status = 'todo' AND j.scheduled_at IS NULL
      AND j.task_name = ANY (_tasks)
      AND NOT EXISTS (SELECT FROM procrastinate_jobs held
                      WHERE held.lock = _lock AND held.status = 'doing')
    ORDER BY -j.priority, j.id LIMIT 1
$$;

-- Jobs whose time has come and whose lock nobody holds, a hundred at most: of the hundred that are
-- longest due, and when those all wait for their locks, the first of each of the first thousand locks.
-- (From lock to lock alone it would meet all those whose time is yet to come. Its orders are those of
-- one index, and (lock, time) is compared as a row: an index without locks must not do.)
CREATE OR REPLACE FUNCTION due_lock_heads(_queue text, _tasks text[])
RETURNS TABLE (id bigint, lock text, priority integer) LANGUAGE plpgsql STABLE ROWS 10
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    _longest bigint[] := ARRAY(
        SELECT j.id FROM procrastinate_jobs j
        WHERE j.queue_name = _queue AND j.status = 'todo' AND j.lock IS NOT NULL
          AND j.scheduled_at <= now()
        ORDER BY j.scheduled_at, j.id LIMIT 100);
BEGIN
    IF cardinality(_longest) = 0 THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT j.id, j.lock, j.priority FROM procrastinate_jobs j
    WHERE j.id = ANY (_longest) AND j.task_name = ANY (_tasks)
      AND NOT EXISTS (SELECT FROM procrastinate_jobs held
                      WHERE held.lock = j.lock AND held.status = 'doing')
    ORDER BY j.scheduled_at, j.id;
    IF FOUND OR cardinality(_longest) < 100 THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH RECURSIVE lines (lock, hops) AS (
        SELECT ''::text, 0
        UNION ALL
        SELECT (SELECT j.lock FROM procrastinate_jobs j
                WHERE j.queue_name = _queue AND j.status = 'todo' AND j.scheduled_at IS NOT NULL
                  AND j.lock > lines.lock ORDER BY j.lock, j.scheduled_at, j.id LIMIT 1), hops + 1
        FROM lines WHERE lines.lock IS NOT NULL AND hops < 1000
    )
    SELECT head.id, lines.lock, head.priority FROM lines CROSS JOIN LATERAL (
        SELECT j.id, j.priority FROM procrastinate_jobs j
        WHERE j.queue_name = _queue AND j.status = 'todo' AND j.task_name = ANY (_tasks)
          AND (j.lock, j.scheduled_at) >= (lines.lock, '-infinity'::timestamptz)
          AND (j.lock, j.scheduled_at) <= (lines.lock, now())
          AND j.lock IS NOT NULL AND j.scheduled_at IS NOT NULL
          AND NOT EXISTS (SELECT FROM procrastinate_jobs held
                          WHERE held.lock = lines.lock AND held.status = 'doing')
        ORDER BY j.lock, j.scheduled_at, j.id LIMIT 1
    ) AS head LIMIT 100;
END;
$$;

-- The jobs of a queue that are first in the line of a lock that nobody holds, _slots at most, higher
-- priority and then the older one first. It hops from lock to lock, so the length of a line costs
-- nothing; of very many it takes the first hundred that have such a job, in the order of their names.
-- A retry that waits for its time lets the jobs behind it pass.
CREATE OR REPLACE FUNCTION lock_line_heads(_queue text, _tasks text[], _slots integer)
RETURNS SETOF bigint LANGUAGE plpgsql STABLE ROWS 10
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    WITH RECURSIVE lines AS (
        (SELECT j.lock, head.id, head.priority, 1 AS hops, (head.id IS NOT NULL)::integer AS usable
         FROM procrastinate_jobs j
         LEFT JOIN LATERAL lock_line_head(_queue, j.lock, _tasks) AS head ON true
         WHERE j.queue_name = _queue AND j.status = 'todo' AND j.scheduled_at IS NULL
           AND j.lock IS NOT NULL
         ORDER BY j.lock LIMIT 1)
        UNION ALL
        SELECT next.lock, head.id, head.priority, hops + 1, usable + (head.id IS NOT NULL)::integer
        FROM lines CROSS JOIN LATERAL (
            SELECT j.lock FROM procrastinate_jobs j
            WHERE j.queue_name = _queue AND j.status = 'todo' AND j.scheduled_at IS NULL
              AND j.lock > lines.lock
            ORDER BY j.lock LIMIT 1
        ) AS next
        LEFT JOIN LATERAL lock_line_head(_queue, next.lock, _tasks) AS head ON true
        WHERE usable < 100 AND hops < 10000
    ),
    candidates AS (
        SELECT l.id, l.lock, l.priority FROM lines l WHERE l.id IS NOT NULL
        UNION ALL
        SELECT d.id, d.lock, d.priority FROM due_lock_heads(_queue, _tasks) AS d
    ),
    heads AS (
        SELECT DISTINCT ON (c.lock) c.id, c.priority FROM candidates c
        ORDER BY c.lock, c.priority DESC, c.id
    )
    SELECT h.id FROM heads h ORDER BY h.priority DESC, h.id LIMIT _slots;
END;
$$;

-- Claims up to _slots jobs for a worker. Among queues that all have work the starts are shared by
-- weight: each queue's next start lies at pass + 1/weight in virtual time (stride scheduling) and the
-- earliest win; what an idle queue does not use goes to the others. Within a queue higher priority
-- first, then the older job (of those that waited for their time, among the 200 that are longest due).
-- A row that another worker is claiming is skipped, also where that one leaves it in the end: who got
-- less than there was asks again. So is one whose lock another worker is taking, maybe for a job of
-- another queue. Who has it looks once more, in a newer snapshot, whether a job holds the lock
-- since: nobody ever waits at the index that keeps them apart, which would be a deadlock of two that
-- want each other's locks, and nobody fails there.
--
-- Its plan must not follow the statistics: a queue is empty and full within a second, and a plan lives
-- as long as its session. So our indexes are walked in their order, jobs are found by an array of ids,
-- IS TRUE hides a condition from indexes that would be walked from end to end for it, and -priority in
-- place of priority DESC keeps the planner from the engine's index, which has every queue's jobs in
-- one line.
--
-- _priorities and _ids say at which job in the order of each queue it begins to look: before it lie,
-- while a backlog is drained, thousands of index entries of jobs that started since the last vacuum.
-- It notes the starts itself, for triggers would join what it has in its hands. (set_config, since only
-- superusers may write such a setting into a function's head.)
-- (The function of this name with six parameters is for workers that run since before this one.)
CREATE OR REPLACE FUNCTION claim_jobs(
    _worker bigint, _slots integer, _tasks text[],
    _queues text[], _weights double precision[], _passes double precision[],
    _priorities integer[], _ids bigint[]
) RETURNS SETOF procrastinate_jobs LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    _picked bigint[];
    _locked bigint[];
    _locks text[];
BEGIN
    WITH shares AS (
        SELECT * FROM unnest(_queues, _weights, _passes, _priorities, _ids)
            AS q (queue, weight, pass, first_priority, first_id)
    ),
    locked AS (  -- queues whose jobs with a lock are worth a look
        SELECT queue AS name FROM shares
        WHERE (SELECT true FROM procrastinate_jobs j
               WHERE j.queue_name = queue AND j.status = 'todo' AND j.lock IS NOT NULL
                 AND j.scheduled_at IS NULL ORDER BY j.lock LIMIT 1)
           OR (SELECT true FROM procrastinate_jobs j
               WHERE j.queue_name = queue AND j.status = 'todo' AND j.lock IS NOT NULL
                 AND j.scheduled_at <= now() ORDER BY j.scheduled_at LIMIT 1)
    ),
    waiting AS (
        SELECT queue, first_priority, first_id,
               pass + row_number() OVER (PARTITION BY queue) / weight AS turn
        FROM shares CROSS JOIN LATERAL (
            (SELECT FROM procrastinate_jobs j
             WHERE j.queue_name = queue AND j.status = 'todo'
               AND j.scheduled_at IS NULL AND j.lock IS NULL AND j.task_name = ANY (_tasks)
               AND (-j.priority, j.id) >= (-first_priority, first_id)
             ORDER BY -j.priority, j.id LIMIT _slots)
            UNION ALL
            (SELECT FROM procrastinate_jobs j
             WHERE j.queue_name = queue AND j.status = 'todo'
               AND j.scheduled_at <= now() AND j.lock IS NULL AND j.task_name = ANY (_tasks)
             ORDER BY j.scheduled_at, j.id LIMIT _slots)
            UNION ALL
            (SELECT FROM locked CROSS JOIN LATERAL lock_line_heads(queue, _tasks, _slots)
             WHERE locked.name = queue)
        ) AS job
    ),
    quotas AS (
        SELECT queue, first_priority, first_id, count(*) AS quota
        FROM (SELECT * FROM waiting ORDER BY turn LIMIT _slots) AS next_starts
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
    due AS (
        SELECT job.* FROM quotas CROSS JOIN LATERAL (
            SELECT locked.* FROM (
                SELECT * FROM (
                    SELECT j.id, j.priority FROM procrastinate_jobs j
                    WHERE j.queue_name = queue AND j.status = 'todo'
                      AND j.scheduled_at <= now() AND j.lock IS NULL AND j.task_name = ANY (_tasks)
                    ORDER BY j.scheduled_at, j.id LIMIT greatest(quota, 200)
                ) AS longest ORDER BY longest.priority DESC, longest.id
            ) AS first CROSS JOIN LATERAL (
                SELECT j.id, j.queue_name, j.priority, j.lock FROM procrastinate_jobs j
                WHERE j.id = first.id AND (j.status = 'todo') IS TRUE FOR UPDATE SKIP LOCKED
            ) AS locked LIMIT quota
        ) AS job
    ),
    heads AS (
        SELECT job.* FROM quotas
        JOIN locked ON locked.name = queue
        CROSS JOIN LATERAL lock_line_heads(queue, _tasks, quota::integer) AS head (id)
        CROSS JOIN LATERAL (
            SELECT j.id, j.queue_name, j.priority, j.lock FROM procrastinate_jobs j
            WHERE j.id = head.id AND (j.status = 'todo') IS TRUE
              AND pg_try_advisory_xact_lock('procrastinate_jobs'::regclass::oid::integer,
                                            hashtext(j.lock))
            FOR UPDATE SKIP LOCKED
        ) AS job
    ),
    ranked AS (
        SELECT c.id, c.lock, quotas.quota,
               row_number() OVER (PARTITION BY c.queue_name ORDER BY c.priority DESC, c.id) AS place
        FROM (SELECT * FROM ready
              UNION ALL SELECT * FROM due
              UNION ALL SELECT DISTINCT ON (lock) * FROM heads) AS c
        JOIN quotas ON quotas.queue = c.queue_name
    )
    SELECT array_agg(id), array_agg(id) FILTER (WHERE lock IS NOT NULL),
           array_agg(lock) FILTER (WHERE lock IS NOT NULL)
    INTO _picked, _locked, _locks FROM ranked WHERE place <= quota;

    FOR n IN 1 .. coalesce(cardinality(_locks), 0) LOOP
        IF EXISTS (SELECT FROM procrastinate_jobs held
                   WHERE held.lock = _locks[n] AND held.status = 'doing') THEN
            _picked := array_remove(_picked, _locked[n]);
        END IF;
    END LOOP;

    PERFORM set_config('activelog.starts', 'noted', true);
    RETURN QUERY
    WITH claimed AS (
        UPDATE procrastinate_jobs AS j SET status = 'doing', worker_id = _worker
        WHERE j.id = ANY (_picked) RETURNING j.*
    ),
    noted AS (
        INSERT INTO procrastinate_events (job_id, type) SELECT id, 'started' FROM claimed
    )
    SELECT * FROM claimed;
    PERFORM set_config('activelog.starts', '', true);
END;
$$;

-- Writes the ends of runs and returns the ids it wrote. A run counts only while its job is still
-- `doing` for the worker that claimed it: a worker that was thought dead, and whose job runs elsewhere
-- by now, can neither finish nor fail it. _statuses holds `todo` for a retry; a retry of a job that
-- somebody asked to abort ends as `aborted`. _spent is false where a run is handed back unfinished. Who
-- waits for a lock is for the caller to wake (notify_lock_line).
CREATE OR REPLACE FUNCTION finish_jobs(
    _ids bigint[], _workers bigint[], _statuses procrastinate_job_status[], _spent boolean[],
    _retry_at timestamptz[]
) RETURNS SETOF bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_nestloop = off
SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM set_config('activelog.locks', 'seen to', true);
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
    PERFORM set_config('activelog.locks', '', true);
END;
$$;

-- Puts the jobs of dead workers back in line, for a worker that is itself alive: ours are dead without
-- a heartbeat for _silence, stock ones for _stock_silence. No attempt is spent.
--
-- A job that _deaths workers died with is taken for their killer and fails. What ran beside it died as
-- often, so from its second death on a suspect runs alone: all of them share a lock. If several still
-- die at once (they have locks of their own), none is blamed until it happened three times as often.
-- Who retries a failed job by hand takes it for mended: only deaths since then count.
-- (The function of this name with two parameters is for workers that run since before 0014.)
CREATE OR REPLACE FUNCTION rescue_jobs(
    _worker bigint, _silence interval, _stock_silence interval, _deaths integer
) RETURNS TABLE (job_id bigint, task_name text, failed boolean) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH orphans AS (
        SELECT j.id, j.worker_id, (
                   SELECT count(*) FROM job_errors e
                   WHERE e.job_id = j.id AND e.kind = 'death' AND e.at > coalesce((
                       SELECT max(r.at) FROM procrastinate_events r
                       WHERE r.job_id = j.id AND r.type = 'retried'), '-infinity')) + 1 AS deaths
        FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
        WHERE j.status = 'doing'
          AND (w.id IS NULL OR w.last_heartbeat < now() - CASE
                   WHEN EXISTS (SELECT FROM our_workers q WHERE q.worker_id = w.id)
                   THEN _silence ELSE _stock_silence END)
          AND EXISTS (SELECT FROM procrastinate_workers me
                      WHERE me.id = _worker AND me.last_heartbeat > now() - _silence / 2)
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
    )
    UPDATE procrastinate_jobs j
    SET status = CASE WHEN poisonous OR is_second THEN 'failed' WHEN j.abort_requested THEN 'aborted'
                      ELSE 'todo' END::procrastinate_job_status,
        lock = CASE WHEN judged.deaths > 1 THEN coalesce(j.lock, 'suspects') ELSE j.lock END,
        abort_requested = false,
        worker_id = NULL
    FROM judged WHERE j.id = judged.id
    RETURNING j.id, j.task_name::text, j.status <> 'todo';
END;
$$;
