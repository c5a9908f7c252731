-- A job is written three times in its life, and each version goes into every index that takes it.
-- Two of the engine's and ours served nobody else than what a smaller one serves as well; ten index
-- entries a job become six.

-- Which queues have work is found in the indexes of what waits.
DROP INDEX procrastinate_jobs_queue_name_idx_v1;

-- What runs, by worker: for claiming, finishing and rescuing, and short whatever the history.
CREATE INDEX job_running ON procrastinate_jobs (worker_id, id) WHERE status = 'doing';
DROP INDEX job_list;
CREATE INDEX job_list ON procrastinate_jobs (status, id DESC)
    WHERE status IN ('failed', 'aborted', 'cancelled');

-- The engine's foreign key looked the worker up for each claimed job, and needed an index of
-- finished jobs to let a worker go. Claiming looks once, and a worker that goes leaves running jobs
-- without one, as before; rescuing takes a job of no worker and one of a missing one alike.
ALTER TABLE procrastinate_jobs DROP CONSTRAINT procrastinate_jobs_worker_id_fkey;
DROP INDEX job_worker;

CREATE FUNCTION on_workers_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE procrastinate_jobs j SET worker_id = NULL
    FROM old_workers w WHERE j.worker_id = w.id AND j.status = 'doing';
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_workers_deleted AFTER DELETE ON procrastinate_workers
    REFERENCING OLD TABLE AS old_workers FOR EACH STATEMENT EXECUTE FUNCTION on_workers_deleted();

-- As in 0002_queue.sql, with one look at what changed, and joined by hash whatever the first
-- statement of a session was like: its plan is kept.
CREATE OR REPLACE FUNCTION on_jobs_updated() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = on SET enable_nestloop = off SET enable_mergejoin = off AS $$
DECLARE
    _told bigint;
BEGIN
    WITH changed AS MATERIALIZED (
        SELECT n.id, o.status AS before, n.status AS after, n.scheduled_at, n.queue_name
        FROM old_jobs o JOIN new_jobs n USING (id)
    ),
    noted AS (
        INSERT INTO procrastinate_events (job_id, type)
        SELECT id, (CASE
            WHEN after = 'doing' THEN 'started'
            WHEN before = 'doing' THEN CASE after
                WHEN 'succeeded' THEN 'succeeded' WHEN 'failed' THEN 'failed' WHEN 'aborted' THEN 'aborted'
                ELSE 'deferred_for_retry' END
            WHEN before = 'failed' THEN 'retried'
            ELSE 'cancelled' END)::procrastinate_job_event_type
        FROM changed
        WHERE (before = 'todo' AND after IN ('doing', 'cancelled', 'failed', 'succeeded'))
           OR (before = 'doing' AND after IN ('todo', 'failed', 'succeeded', 'aborted'))
           OR (before = 'failed' AND after = 'todo')
    ),
    scheduled AS (
        INSERT INTO procrastinate_events (job_id, type, at)
        SELECT id, 'scheduled', scheduled_at FROM changed
        WHERE after = 'todo' AND scheduled_at IS NOT NULL
    ),
    -- The engine does not: a job that is handed back would wait for somebody's next poll.
    freed AS (
        SELECT queue_name, max(id) AS id FROM changed
        WHERE before <> 'todo' AND after = 'todo' AND coalesce(scheduled_at, now()) <= now()
        GROUP BY queue_name
    )
    SELECT count(notify_queue(queue_name, id)) INTO _told FROM freed;
    RETURN NULL;
END;
$$;

-- As in 0002_queue.sql and 0009_pages.sql, but none of it is left to what the planner knows of the
-- table. A plan lives as long as its session, and a worker that starts while nothing waits makes it
-- for an empty table: with a join to choose, claiming 100 of 60,000 jobs then took six seconds, and
-- finishing compared every job that runs with every one that ended. So jobs are found by an array of
-- ids, and IS TRUE hides a condition from indexes that would be walked from end to end for it.
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

CREATE OR REPLACE FUNCTION claim_jobs(
    _worker bigint, _slots integer, _tasks text[],
    _queues text[], _weights double precision[], _passes double precision[]
) RETURNS SETOF procrastinate_jobs LANGUAGE plpgsql
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
        SELECT job.* FROM quotas
        CROSS JOIN LATERAL lock_line_heads(queue, _tasks, quota::integer) AS head (id)
        CROSS JOIN LATERAL (
            SELECT j.id, j.queue_name, j.priority, j.lock FROM procrastinate_jobs j
            WHERE j.id = head.id AND (j.status = 'todo') IS TRUE FOR UPDATE SKIP LOCKED
        ) AS job
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
    WHERE j.id = ANY (ARRAY(SELECT id FROM picked)) RETURNING j.*;
END;
$$;

-- As in 0012_totals.sql.
CREATE OR REPLACE FUNCTION on_line_jobs_ended() RETURNS trigger LANGUAGE plpgsql
SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM new_jobs WHERE status NOT IN ('doing', 'succeeded')) THEN
        PERFORM notify_ticket(t.id) FROM job_tickets t
        WHERE t.job_id = ANY (ARRAY(SELECT id FROM new_jobs WHERE status NOT IN ('doing', 'succeeded')));
        PERFORM count_export(t.id, 'failed'), procrastinate_defer_jobs_v1(ARRAY[ROW(
            'default', 'activelog.exports.announce_failure', 0, NULL, NULL,
            jsonb_build_object('user_id', t.user_id, 'ticket_id', t.id), NULL
        )::procrastinate_job_to_defer_v1])
        FROM job_tickets t
        WHERE t.cancelled_at IS NULL AND t.job_id = ANY (ARRAY(
            SELECT id FROM new_jobs
            WHERE status = 'failed' AND task_name = 'activelog.exports.generate'));
    END IF;
    PERFORM advance_line(ended.line) FROM (
        SELECT DISTINCT t.line FROM job_tickets t
        WHERE t.line IS NOT NULL AND t.job_id = ANY (ARRAY(
            SELECT id FROM new_jobs WHERE status NOT IN ('todo', 'doing')))
        ORDER BY t.line  -- in one order, or two workers could wait for each other
    ) AS ended;
    RETURN NULL;
END;
$$;
