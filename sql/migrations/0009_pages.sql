-- Who may see and steer the jobs of everybody, and what they did.
ALTER TABLE users ADD COLUMN is_admin boolean NOT NULL DEFAULT false;

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint,                         -- no foreign key: what was done stays done
    action text NOT NULL,
    subject text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

-- Queues from which workers claim nothing for now.
CREATE TABLE paused_queues (
    queue_name text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);

-- The jobs page lists by state, newest first, and finds failures by the words of their errors.
CREATE INDEX job_list ON procrastinate_jobs (status, id DESC)
    WHERE status IN ('doing', 'failed', 'aborted', 'cancelled');
CREATE INDEX job_errors_words ON job_errors USING gin (to_tsvector('simple', error));
CREATE INDEX job_errors_recent ON job_errors (at DESC);

-- How many jobs did what, by minute: what charts and Prometheus read instead of millions of rows. It
-- is written in the transaction that makes it true, by a line of its own for each writer (`slot`),
-- so that nobody waits for somebody else's. The night folds old minutes into hours, and what is
-- older than a year into one row for ever, so sums only grow.
CREATE TABLE job_counts (
    minute timestamptz NOT NULL,
    slot integer NOT NULL,
    task_name text NOT NULL,
    queue_name text NOT NULL,
    -- enqueued, or how a run ended: succeeded, failed, aborted, retried, handed_back, died
    event text NOT NULL,
    count bigint NOT NULL,
    seconds double precision NOT NULL DEFAULT 0,        -- of the runs together
    waited double precision NOT NULL DEFAULT 0,         -- from due to start, of the runs together
    seconds_buckets bigint[] NOT NULL DEFAULT '{}',     -- runs up to 10 ms, 100 ms, 1 s, 10 s, 1 min, 10 min, longer
    waited_buckets bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (minute, slot, task_name, queue_name, event)
);

CREATE FUNCTION add_arrays(_a bigint[], _b bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY place), '{}')
    FROM unnest(_a, _b) WITH ORDINALITY AS pairs (a, b, place)
$$;

CREATE FUNCTION count_jobs(
    _slot integer, _tasks text[], _queues text[], _events text[], _counts bigint[],
    _seconds double precision[], _waited double precision[],
    _seconds_buckets text[], _waited_buckets text[]
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO job_counts AS c (minute, slot, task_name, queue_name, event, count, seconds, waited,
                                 seconds_buckets, waited_buckets)
    SELECT date_trunc('minute', now()), _slot, task, queue, event, count, seconds, waited,
           seconds_buckets::bigint[], waited_buckets::bigint[]
    FROM unnest(_tasks, _queues, _events, _counts, _seconds, _waited, _seconds_buckets, _waited_buckets)
        AS u (task, queue, event, count, seconds, waited, seconds_buckets, waited_buckets)
    ON CONFLICT (minute, slot, task_name, queue_name, event) DO UPDATE SET
        count = c.count + excluded.count, seconds = c.seconds + excluded.seconds,
        waited = c.waited + excluded.waited,
        seconds_buckets = add_arrays(c.seconds_buckets, excluded.seconds_buckets),
        waited_buckets = add_arrays(c.waited_buckets, excluded.waited_buckets)
$$;

-- As in 0002_queue.sql, and counts.
CREATE OR REPLACE FUNCTION on_jobs_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO procrastinate_events (job_id, type)
    SELECT id, 'deferred' FROM new_jobs WHERE status = 'todo';
    INSERT INTO procrastinate_events (job_id, type, at)
    SELECT id, 'scheduled', scheduled_at FROM new_jobs
    WHERE status = 'todo' AND scheduled_at IS NOT NULL;
    INSERT INTO job_counts AS c (minute, slot, task_name, queue_name, event, count)
    SELECT date_trunc('minute', now()), 1000 + pg_backend_pid() % 64, task_name, queue_name, 'enqueued',
           count(*)
    FROM new_jobs WHERE status = 'todo' GROUP BY task_name, queue_name
    ON CONFLICT (minute, slot, task_name, queue_name, event) DO UPDATE
        SET count = c.count + excluded.count;
    IF EXISTS (SELECT FROM procrastinate_workers w
               WHERE w.last_heartbeat > now() - interval '1 minute'
                 AND NOT EXISTS (SELECT FROM busy_workers b WHERE b.worker_id = w.id)) THEN
        PERFORM notify_queue(queue_name, max(id))
        FROM new_jobs WHERE status = 'todo' GROUP BY queue_name;
    END IF;
    RETURN NULL;
END;
$$;

-- What the workers know of each schedule, for the page that shows them.
ALTER TABLE schedule_ticks ADD COLUMN cron text, ADD COLUMN queue_name text;

-- As in 0002_queue.sql, but for `heads`: claiming one of 3,000 jobs took 15 ms.
CREATE OR REPLACE FUNCTION claim_jobs(
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
        -- (LATERAL with a lock cannot be turned round: as a plain join, a plan made while the table
        -- was empty looked for the heads of lines once for every job that waited.)
        SELECT job.* FROM quotas
        CROSS JOIN LATERAL lock_line_heads(queue, _tasks, quota::integer) AS head (id)
        CROSS JOIN LATERAL (
            SELECT j.id, j.queue_name, j.priority, j.lock FROM procrastinate_jobs j
            WHERE j.id = head.id AND j.status = 'todo' FOR UPDATE SKIP LOCKED
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
    FROM picked WHERE j.id = picked.id RETURNING j.*;
END;
$$;
