-- What activelog/queue adds beside the engine's tables. Nothing here changes what people's SQL,
-- `procrastinate shell` or a stock worker see.

-- Why a run did not succeed: one row for each such run of a job.
CREATE TABLE job_errors (
    job_id bigint NOT NULL REFERENCES procrastinate_jobs ON DELETE CASCADE,
    attempt integer NOT NULL,               -- 1 for the first run
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL CHECK (kind IN ('error', 'death')),  -- death: its worker was gone
    error text NOT NULL,                    -- class and message, for operators
    public_error text,                      -- what the person who asked for the work may read
    traceback text
);
CREATE INDEX job_errors_job ON job_errors (job_id, at);

-- The last tick that each schedule has turned into a job.
CREATE TABLE schedule_ticks (
    task_name text NOT NULL,
    periodic_id text NOT NULL,
    last_tick bigint NOT NULL,              -- seconds since 1970, UTC
    PRIMARY KEY (task_name, periodic_id)
);

-- Claiming reads these three instead of walking the engine's one index over all that waits:
-- ready at once, due later, and the head of each lock's line. So neither 100,000 jobs for
-- tomorrow, nor another queue's backlog, nor 10,000 jobs behind one lock are in the way.
CREATE INDEX job_ready ON procrastinate_jobs (queue_name, (-priority), id)
    WHERE status = 'todo' AND scheduled_at IS NULL AND lock IS NULL;
CREATE INDEX job_scheduled ON procrastinate_jobs (queue_name, scheduled_at, id)
    WHERE status = 'todo' AND scheduled_at IS NOT NULL AND lock IS NULL;
CREATE INDEX job_lock_line ON procrastinate_jobs (queue_name, lock, (-priority), id)
    WHERE status = 'todo' AND lock IS NOT NULL;

-- The engine's foreign key sets worker_id to NULL when a worker row goes; without an index on
-- exactly that condition it reads the whole table. This one serves the engine's queries for
-- stalled jobs too.
CREATE INDEX job_worker ON procrastinate_jobs (worker_id) WHERE worker_id IS NOT NULL;
DROP INDEX idx_procrastinate_jobs_worker_not_null;

-- Under their own names and with the same meaning, but without the jobs that have no lock: most
-- have none, and every one of them was written into all three at every step.
DROP INDEX procrastinate_jobs_queueing_lock_idx_v1;
CREATE UNIQUE INDEX procrastinate_jobs_queueing_lock_idx_v1 ON procrastinate_jobs (queueing_lock)
    WHERE status = 'todo' AND queueing_lock IS NOT NULL;
DROP INDEX procrastinate_jobs_lock_idx_v1;
CREATE UNIQUE INDEX procrastinate_jobs_lock_idx_v1 ON procrastinate_jobs (lock)
    WHERE status = 'doing' AND lock IS NOT NULL;
DROP INDEX procrastinate_jobs_id_lock_idx_v1;
CREATE INDEX procrastinate_jobs_id_lock_idx_v1 ON procrastinate_jobs (lock, id)
    WHERE status IN ('todo', 'doing') AND lock IS NOT NULL;

-- Workers whose slots are all taken: they look for jobs whenever one of theirs ends, so they need
-- no wake-up. A stock worker is never in here.
CREATE UNLOGGED TABLE busy_workers (
    worker_id bigint PRIMARY KEY REFERENCES procrastinate_workers ON DELETE CASCADE
);

-- The engine's row triggers, as statement triggers: the same events and the same notifications for
-- a batch at the price of one, which is what claiming and finishing in batches live on. NOTIFY
-- lets one transaction commit at a time, so it goes out once per statement and queue instead of
-- twice per row, and only when a worker that is alive may be waiting for it. The channels and the
-- payload are the engine's, so stock workers wake as before.
CREATE FUNCTION notify_queue(_queue text, _job bigint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify(channel, json_build_object('type', 'job_inserted', 'job_id', _job)::text)
    FROM unnest(ARRAY['procrastinate_queue_v1#' || _queue, 'procrastinate_any_queue_v1']) AS channel
$$;

CREATE FUNCTION on_jobs_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO procrastinate_events (job_id, type)
    SELECT id, 'deferred' FROM new_jobs WHERE status = 'todo';
    INSERT INTO procrastinate_events (job_id, type, at)
    SELECT id, 'scheduled', scheduled_at FROM new_jobs
    WHERE status = 'todo' AND scheduled_at IS NOT NULL;
    IF EXISTS (SELECT FROM procrastinate_workers w
               WHERE w.last_heartbeat > now() - interval '1 minute'
                 AND NOT EXISTS (SELECT FROM busy_workers b WHERE b.worker_id = w.id)) THEN
        PERFORM notify_queue(queue_name, max(id))
        FROM new_jobs WHERE status = 'todo' GROUP BY queue_name;
    END IF;
    RETURN NULL;
END;
$$;

-- (claim_jobs and finish_jobs, inside which it runs, switch hash joins off.)
CREATE FUNCTION on_jobs_updated() RETURNS trigger LANGUAGE plpgsql SET enable_hashjoin = on AS $$
BEGIN
    INSERT INTO procrastinate_events (job_id, type)
    SELECT n.id, CASE
        WHEN o.status = 'todo' AND n.status = 'doing' THEN 'started'
        WHEN o.status = 'doing' AND n.status = 'todo' THEN 'deferred_for_retry'
        WHEN o.status = 'doing' THEN n.status::text
        WHEN o.status = 'failed' THEN 'retried'
        ELSE 'cancelled' END::procrastinate_job_event_type
    FROM old_jobs o JOIN new_jobs n USING (id)
    WHERE (o.status = 'todo' AND n.status IN ('doing', 'cancelled', 'failed', 'succeeded'))
       OR (o.status = 'doing' AND n.status IN ('todo', 'failed', 'succeeded', 'aborted'))
       OR (o.status = 'failed' AND n.status = 'todo');
    INSERT INTO procrastinate_events (job_id, type, at)
    SELECT id, 'scheduled', scheduled_at FROM new_jobs
    WHERE status = 'todo' AND scheduled_at IS NOT NULL;
    -- The engine does not: a job that is handed back would wait for somebody's next poll.
    PERFORM notify_queue(n.queue_name, max(n.id)) FROM old_jobs o JOIN new_jobs n USING (id)
    WHERE o.status <> 'todo' AND n.status = 'todo'
      AND (n.scheduled_at IS NULL OR n.scheduled_at <= now())
    GROUP BY n.queue_name;
    RETURN NULL;
END;
$$;

DROP TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1 ON procrastinate_jobs;
DROP TRIGGER procrastinate_trigger_status_events_insert_v1 ON procrastinate_jobs;
DROP TRIGGER procrastinate_trigger_status_events_update_v1 ON procrastinate_jobs;
DROP TRIGGER procrastinate_trigger_scheduled_events_v1 ON procrastinate_jobs;
CREATE TRIGGER on_jobs_inserted AFTER INSERT ON procrastinate_jobs
    REFERENCING NEW TABLE AS new_jobs FOR EACH STATEMENT EXECUTE FUNCTION on_jobs_inserted();
CREATE TRIGGER on_jobs_updated AFTER UPDATE ON procrastinate_jobs
    REFERENCING OLD TABLE AS old_jobs NEW TABLE AS new_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION on_jobs_updated();

-- The jobs of a queue that are first in the line of a lock that nobody holds, _slots at most.
-- It hops from lock to lock in the index, so the length of a line costs nothing. A retry that
-- waits for its time lets the jobs behind it pass.
CREATE FUNCTION lock_line_heads(_queue text, _tasks text[], _slots integer)
RETURNS SETOF bigint LANGUAGE plpgsql STABLE ROWS 10
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    WITH RECURSIVE lines AS (
        (SELECT j.lock FROM procrastinate_jobs j
         WHERE j.queue_name = _queue AND j.status = 'todo' AND j.lock IS NOT NULL
         ORDER BY j.lock LIMIT 1)
        UNION ALL
        SELECT (SELECT j.lock FROM procrastinate_jobs j
                WHERE j.queue_name = _queue AND j.status = 'todo' AND j.lock > lines.lock
                ORDER BY j.lock LIMIT 1)
        FROM lines WHERE lines.lock IS NOT NULL
    )
    SELECT head.id FROM lines CROSS JOIN LATERAL (
        SELECT j.id FROM procrastinate_jobs j
        WHERE j.queue_name = _queue AND j.lock = lines.lock AND j.status = 'todo'
          AND (j.scheduled_at IS NULL OR j.scheduled_at <= now())
          AND j.task_name = ANY (_tasks)
        ORDER BY -j.priority, j.id LIMIT 1
    ) AS head
    WHERE NOT EXISTS (SELECT FROM procrastinate_jobs held
                      WHERE held.lock = lines.lock AND held.status = 'doing')
    LIMIT _slots;
END;
$$;

-- Claims up to _slots jobs for a worker. Among queues that all have work the starts are shared
-- by weight: each queue's next start lies at pass + 1/weight in virtual time (stride scheduling)
-- and the earliest win; what an idle queue does not use goes to the others. Within a queue higher
-- priority first, then the older job. A row that another worker is claiming is skipped.
CREATE FUNCTION claim_jobs(
    _worker bigint, _slots integer, _tasks text[],
    _queues text[], _weights double precision[], _passes double precision[]
) RETURNS SETOF procrastinate_jobs LANGUAGE plpgsql
-- Its plan must not follow the statistics: a queue is empty and full within a second, and walking
-- our indexes in their order is right for both. (-priority in place of priority DESC keeps the
-- planner from the engine's index, which has every queue's jobs in one line.)
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    WITH shares AS (
        SELECT * FROM unnest(_queues, _weights, _passes) AS q (queue, weight, pass)
    ),
    waiting AS (
        SELECT queue, pass + row_number() OVER (PARTITION BY queue) / weight AS turn
        FROM shares CROSS JOIN LATERAL (
            (SELECT FROM procrastinate_jobs j
             WHERE j.queue_name = queue AND j.status = 'todo'
               AND j.scheduled_at IS NULL AND j.lock IS NULL AND j.task_name = ANY (_tasks)
             ORDER BY -j.priority, j.id LIMIT _slots)
            UNION ALL
            (SELECT FROM procrastinate_jobs j
             WHERE j.queue_name = queue AND j.status = 'todo'
               AND j.scheduled_at <= now() AND j.lock IS NULL AND j.task_name = ANY (_tasks)
             ORDER BY j.scheduled_at, j.id LIMIT _slots)
            UNION ALL
            (SELECT FROM lock_line_heads(queue, _tasks, _slots))
        ) AS job
    ),
    quotas AS (
        SELECT queue, count(*) AS quota
        FROM (SELECT queue FROM waiting ORDER BY turn LIMIT _slots) AS next_starts
        GROUP BY queue
    ),
    ready AS (
        SELECT job.* FROM quotas CROSS JOIN LATERAL (
            SELECT j.id, j.queue_name, j.priority, j.lock FROM procrastinate_jobs j
            WHERE j.queue_name = queue AND j.status = 'todo'
              AND j.scheduled_at IS NULL AND j.lock IS NULL AND j.task_name = ANY (_tasks)
            ORDER BY -j.priority, j.id LIMIT quota
            FOR UPDATE SKIP LOCKED
        ) AS job
    ),
    due AS (
        SELECT job.* FROM quotas CROSS JOIN LATERAL (
            SELECT j.id, j.queue_name, j.priority, j.lock FROM procrastinate_jobs j
            WHERE j.queue_name = queue AND j.status = 'todo'
              AND j.scheduled_at <= now() AND j.lock IS NULL AND j.task_name = ANY (_tasks)
            ORDER BY j.scheduled_at, j.id LIMIT quota
            FOR UPDATE SKIP LOCKED
        ) AS job
    ),
    heads AS (
        SELECT j.id, j.queue_name, j.priority, j.lock
        FROM quotas CROSS JOIN LATERAL lock_line_heads(queue, _tasks, quota::integer) AS head (id)
        JOIN procrastinate_jobs j ON j.id = head.id AND j.status = 'todo'
        FOR UPDATE OF j SKIP LOCKED
    ),
    picked AS (
        SELECT id FROM (
            SELECT c.id, quotas.quota,
                   row_number() OVER (PARTITION BY c.queue_name ORDER BY c.priority DESC, c.id) AS place
            FROM (SELECT * FROM ready
                  UNION ALL SELECT * FROM due
                  UNION ALL SELECT DISTINCT ON (lock) * FROM heads) AS c
            JOIN quotas ON quotas.queue = c.queue_name
        ) AS ranked WHERE place <= quota
    )
    UPDATE procrastinate_jobs AS j SET status = 'doing', worker_id = _worker
    FROM picked WHERE j.id = picked.id RETURNING j.*;
END;
$$;

-- Writes the ends of runs and returns the ids it wrote. A run counts only while its job is still
-- `doing` for the worker that claimed it: a worker that was thought dead, and whose job runs
-- elsewhere by now, can neither finish nor fail it. _statuses holds `todo` for a retry; a retry
-- of a job that somebody asked to abort ends as `aborted`. _spent is false where a run is handed
-- back unfinished.
CREATE FUNCTION finish_jobs(
    _ids bigint[], _workers bigint[], _statuses procrastinate_job_status[], _spent boolean[],
    _retry_at timestamptz[]
) RETURNS SETOF bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
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
    WHERE j.id = e.id AND j.status = 'doing' AND j.worker_id = e.worker_id
    RETURNING j.id;
END;
$$;

-- Puts the jobs of dead workers (no heartbeat for _silence) back in line without spending an
-- attempt. A job that was running in _deaths dying workers is taken for their killer: it fails.
CREATE FUNCTION rescue_jobs(_silence interval, _deaths integer)
RETURNS TABLE (job_id bigint, task_name text, failed boolean) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH orphans AS (
        SELECT j.id, count(e.job_id) + 1 >= _deaths AS poisonous
        FROM procrastinate_jobs j
        LEFT JOIN procrastinate_workers w ON w.id = j.worker_id
        LEFT JOIN job_errors e ON e.job_id = j.id AND e.kind = 'death'
        WHERE j.status = 'doing' AND (w.id IS NULL OR w.last_heartbeat < now() - _silence)
        GROUP BY j.id
    ),
    locked AS (
        SELECT j.id, poisonous FROM orphans JOIN procrastinate_jobs j USING (id)
        WHERE j.status = 'doing' FOR UPDATE OF j SKIP LOCKED
    ),
    deaths AS (
        INSERT INTO job_errors (job_id, attempt, kind, error, public_error)
        SELECT j.id, j.attempts + 1, 'death',
               'the worker that ran this job died' ||
               CASE WHEN poisonous THEN format(' (%s times: taken for the cause)', _deaths) ELSE '' END,
               CASE WHEN poisonous THEN 'the job could not be finished' END
        FROM locked JOIN procrastinate_jobs j USING (id)
    )
    UPDATE procrastinate_jobs j
    SET status = CASE WHEN poisonous OR EXISTS (
                          SELECT FROM procrastinate_jobs other
                          WHERE other.queueing_lock = j.queueing_lock AND other.status = 'todo')
                      THEN 'failed'
                      WHEN j.abort_requested THEN 'aborted'
                      ELSE 'todo' END::procrastinate_job_status,
        abort_requested = false,
        worker_id = NULL
    FROM locked WHERE j.id = locked.id
    RETURNING j.id, j.task_name::text, j.status <> 'todo';
END;
$$;
