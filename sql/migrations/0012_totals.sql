-- Counts by hour, since that is what charts show, and of all time, since Prometheus must not add up
-- years: each goes into its hour's line and into that of `infinity`, which is the sum.
ALTER TABLE job_counts RENAME COLUMN minute TO hour;

WITH minutes AS (DELETE FROM job_counts RETURNING *)
INSERT INTO job_counts (hour, slot, task_name, queue_name, event, count, seconds, waited,
                        seconds_buckets, waited_buckets)
SELECT l.hour, -1, task_name, queue_name, event, sum(count), sum(seconds), sum(waited),
       sum_arrays(seconds_buckets), sum_arrays(waited_buckets)
FROM minutes m, LATERAL (VALUES (date_trunc('hour', m.hour)), ('infinity')) AS l (hour)
GROUP BY l.hour, task_name, queue_name, event;

CREATE OR REPLACE FUNCTION count_jobs(
    _slot integer, _tasks text[], _queues text[], _events text[], _counts bigint[],
    _seconds double precision[], _waited double precision[],
    _seconds_buckets text[], _waited_buckets text[]
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO job_counts AS c (hour, slot, task_name, queue_name, event, count, seconds, waited,
                                 seconds_buckets, waited_buckets)
    SELECT l.hour, _slot, task, queue, event, count, seconds, waited,
           seconds_buckets::bigint[], waited_buckets::bigint[]
    FROM unnest(_tasks, _queues, _events, _counts, _seconds, _waited, _seconds_buckets, _waited_buckets)
        AS u (task, queue, event, count, seconds, waited, seconds_buckets, waited_buckets),
        (VALUES (date_trunc('hour', now())), ('infinity')) AS l (hour)
    ORDER BY task, queue, event, l.hour
    ON CONFLICT (hour, slot, task_name, queue_name, event) DO UPDATE SET
        count = c.count + excluded.count, seconds = c.seconds + excluded.seconds,
        waited = c.waited + excluded.waited,
        seconds_buckets = add_arrays(c.seconds_buckets, excluded.seconds_buckets),
        waited_buckets = add_arrays(c.waited_buckets, excluded.waited_buckets)
$$;

-- Makes one line of those that writers have for themselves, of hours that are over and of the sum;
-- what charts and Prometheus add up stays the same. It locks in the order of the writers, or they
-- could wait for each other in a ring.
CREATE FUNCTION fold_job_counts(_since timestamptz) RETURNS void LANGUAGE sql AS $$
    WITH locked AS (
        SELECT hour, slot, task_name, queue_name, event FROM job_counts
        WHERE slot <> -1 AND (hour >= _since AND hour < date_trunc('hour', now()) OR hour = 'infinity')
        ORDER BY task_name, queue_name, event, hour FOR UPDATE
    ),
    own AS (
        DELETE FROM job_counts c USING locked l
        WHERE (c.hour, c.slot, c.task_name, c.queue_name, c.event)
            = (l.hour, l.slot, l.task_name, l.queue_name, l.event)
        RETURNING c.*
    )
    INSERT INTO job_counts AS c (hour, slot, task_name, queue_name, event, count, seconds, waited,
                                 seconds_buckets, waited_buckets)
    SELECT hour, -1, task_name, queue_name, event, sum(count), sum(seconds), sum(waited),
           sum_arrays(seconds_buckets), sum_arrays(waited_buckets)
    FROM own GROUP BY hour, task_name, queue_name, event
    ON CONFLICT (hour, slot, task_name, queue_name, event) DO UPDATE SET
        count = c.count + excluded.count, seconds = c.seconds + excluded.seconds,
        waited = c.waited + excluded.waited,
        seconds_buckets = add_arrays(c.seconds_buckets, excluded.seconds_buckets),
        waited_buckets = add_arrays(c.waited_buckets, excluded.waited_buckets)
$$;

-- As in 0009_pages.sql, and counts into both lines.
CREATE OR REPLACE FUNCTION on_jobs_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO procrastinate_events (job_id, type)
    SELECT id, 'deferred' FROM new_jobs WHERE status = 'todo';
    INSERT INTO procrastinate_events (job_id, type, at)
    SELECT id, 'scheduled', scheduled_at FROM new_jobs
    WHERE status = 'todo' AND scheduled_at IS NOT NULL;
    INSERT INTO job_counts AS c (hour, slot, task_name, queue_name, event, count)
    SELECT l.hour, 1000 + pg_backend_pid() % 64, task_name, queue_name, 'enqueued', count
    FROM (SELECT task_name, queue_name, count(*) FROM new_jobs WHERE status = 'todo' GROUP BY 1, 2) AS n,
         (VALUES (date_trunc('hour', now())), ('infinity')) AS l (hour)
    ORDER BY task_name, queue_name, l.hour
    ON CONFLICT (hour, slot, task_name, queue_name, event) DO UPDATE
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

-- What of a queue could start, and since when the first in line waits. Each of our three indexes
-- is read for 10,000 jobs at most: what is more is more, and nobody must count millions.
CREATE FUNCTION queue_depth(_queue text, OUT waiting integer, OUT oldest timestamptz)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    waiting := (SELECT count(*) FROM (
        SELECT FROM procrastinate_jobs j WHERE j.queue_name = _queue AND j.status = 'todo'
          AND j.scheduled_at IS NULL AND j.lock IS NULL ORDER BY -j.priority, j.id LIMIT 10000) AS ready)
      + (SELECT count(*) FROM (
        SELECT FROM procrastinate_jobs j WHERE j.queue_name = _queue AND j.status = 'todo'
          AND j.scheduled_at <= now() AND j.lock IS NULL ORDER BY j.scheduled_at, j.id LIMIT 10000) AS due)
      + (SELECT count(*) FROM (
        SELECT FROM procrastinate_jobs j WHERE j.queue_name = _queue AND j.status = 'todo'
          AND j.lock IS NOT NULL AND coalesce(j.scheduled_at, now()) <= now()
        ORDER BY j.lock, -j.priority, j.id LIMIT 10000) AS locked);
    oldest := least(
        (SELECT e.at FROM procrastinate_events e WHERE e.type = 'deferred' AND e.job_id = (
            SELECT j.id FROM procrastinate_jobs j WHERE j.queue_name = _queue AND j.status = 'todo'
              AND j.scheduled_at IS NULL AND j.lock IS NULL ORDER BY -j.priority, j.id LIMIT 1)
         LIMIT 1),
        (SELECT j.scheduled_at FROM procrastinate_jobs j WHERE j.queue_name = _queue
            AND j.status = 'todo' AND j.scheduled_at <= now() AND j.lock IS NULL
         ORDER BY j.scheduled_at, j.id LIMIT 1));
END;
$$;

-- How full the queues were: a worker looks every five minutes.
CREATE TABLE queue_depths (
    at timestamptz NOT NULL,
    queue_name text NOT NULL,
    waiting integer NOT NULL,               -- could start then; counted up to 30,000
    oldest_seconds double precision NOT NULL,  -- how long the first in line had waited
    PRIMARY KEY (at, queue_name)
);

-- How many exports of a format ended how; a line of its own for each writer, so that nobody waits.
CREATE TABLE export_counts (
    slot integer NOT NULL,
    format text NOT NULL,
    outcome text NOT NULL,                  -- requested, completed, failed, cancelled, expired
    count bigint NOT NULL,
    PRIMARY KEY (slot, format, outcome)
);

CREATE FUNCTION count_export(_id uuid, _outcome text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO export_counts AS c (slot, format, outcome, count)
    SELECT pg_backend_pid() % 64, format, _outcome, 1 FROM exports WHERE id = _id
    ON CONFLICT (slot, format, outcome) DO UPDATE SET count = c.count + 1
$$;

CREATE FUNCTION on_export_requested() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_export(NEW.id, 'requested');
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_export_requested AFTER INSERT ON exports
    FOR EACH ROW EXECUTE FUNCTION on_export_requested();

CREATE FUNCTION on_export_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_export(NEW.id, CASE WHEN NEW.completed_at IS NULL THEN 'cancelled' ELSE 'completed' END);
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_export_ended AFTER UPDATE OF completed_at, cancelled_at ON job_tickets FOR EACH ROW
    WHEN (OLD.completed_at IS NULL AND OLD.cancelled_at IS NULL
          AND coalesce(NEW.completed_at, NEW.cancelled_at) IS NOT NULL)
    EXECUTE FUNCTION on_export_ended();

CREATE FUNCTION on_export_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_export(NEW.id, 'expired');
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_export_removed AFTER UPDATE OF removed_at ON exports FOR EACH ROW
    WHEN (OLD.removed_at IS NULL AND NEW.removed_at IS NOT NULL) EXECUTE FUNCTION on_export_removed();

-- As in 0005_exports.sql, and counts exports that failed.
CREATE OR REPLACE FUNCTION on_line_jobs_ended() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM new_jobs WHERE status NOT IN ('doing', 'succeeded')) THEN
        PERFORM notify_ticket(t.id)
        FROM new_jobs n JOIN job_tickets t ON t.job_id = n.id
        WHERE n.status NOT IN ('doing', 'succeeded');
        PERFORM count_export(t.id, 'failed'), procrastinate_defer_jobs_v1(ARRAY[ROW(
            'default', 'activelog.exports.announce_failure', 0, NULL, NULL,
            jsonb_build_object('user_id', t.user_id, 'ticket_id', t.id), NULL
        )::procrastinate_job_to_defer_v1])
        FROM new_jobs n JOIN job_tickets t ON t.job_id = n.id
        WHERE n.status = 'failed' AND n.task_name = 'activelog.exports.generate'
          AND t.cancelled_at IS NULL;
    END IF;
    PERFORM advance_line(ended.line) FROM (
        SELECT DISTINCT t.line FROM new_jobs n JOIN job_tickets t ON t.job_id = n.id
        WHERE n.status NOT IN ('todo', 'doing') AND t.line IS NOT NULL
        ORDER BY t.line  -- in one order, or two workers could wait for each other
    ) AS ended;
    RETURN NULL;
END;
$$;
