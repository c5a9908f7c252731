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

-- As in 0002_queue.sql. (IS TRUE keeps the planner from comparing each job that runs with each that
-- ended: by primary key it is one look for each that ended.)
CREATE OR REPLACE FUNCTION finish_jobs(
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
    WHERE j.id = e.id AND (j.status = 'doing' AND j.worker_id = e.worker_id) IS TRUE
    RETURNING j.id;
END;
$$;
