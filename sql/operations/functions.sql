-- What the jobs page and /metrics ask.

-- The first job that came at a time or later. Ids follow the time at which jobs came, so it halves
-- the ids, with two look-ups each time; jobs whose transactions overlapped may be on either side.
CREATE OR REPLACE FUNCTION first_job_since(_at timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    _low bigint := (SELECT coalesce(min(id), 1) FROM procrastinate_jobs);
    _high bigint := (SELECT coalesce(max(id), 0) + 1 FROM procrastinate_jobs);
    _middle bigint;
    _next bigint;
BEGIN
    WHILE _low < _high LOOP
        _middle := (_low + _high) / 2;
        _next := (SELECT id FROM procrastinate_jobs WHERE id >= _middle ORDER BY id LIMIT 1);
        IF _next IS NULL OR (SELECT min(at) FROM procrastinate_events
                             WHERE job_id = _next AND type = 'deferred') >= _at THEN
            _high := _middle;
        ELSE
            _low := _next + 1;
        END IF;
    END LOOP;
    RETURN _low;
END;
$$;

-- What is deleted before it was counted.
CREATE OR REPLACE FUNCTION count_deleted_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_outcomes (task_name, queue_name, event, count)
    SELECT task_name, queue_name, 'enqueued', count(*) FROM old_jobs
    WHERE id > (SELECT counted_until FROM job_count_progress) GROUP BY 1, 2;
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION add_arrays(_a bigint[], _b bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY place), '{}')
    FROM unnest(_a, _b) WITH ORDINALITY AS pairs (a, b, place)
$$;

CREATE OR REPLACE AGGREGATE sum_arrays(bigint[]) (SFUNC = add_arrays, STYPE = bigint[], INITCOND = '{}');

-- Adds up in job_counts what happened since the last time: outcomes that workers appended, and jobs
-- that were enqueued, up to an id behind which no transaction of before can still write one. It takes
-- two runs to know: the id is noted in one, the transactions of the next one are waited for (who has an
-- id by then has begun to write), and when all of those are over, jobs up to that id are counted.
CREATE OR REPLACE FUNCTION fold_job_counts() RETURNS void LANGUAGE sql AS $$
    WITH progress AS (
        SELECT *, next_xid <> '0' AND pg_snapshot_xmin(pg_current_snapshot()) >= next_xid AS is_final
        FROM job_count_progress FOR UPDATE SKIP LOCKED
    ),
    newest AS MATERIALIZED (
        SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS id FROM procrastinate_jobs_id_seq
    ),
    moved AS (
        UPDATE job_count_progress p
        SET counted_until = CASE WHEN is_final THEN greatest(p.counted_until, p.next_until)
                                 ELSE p.counted_until END,
            next_until = CASE WHEN is_final THEN newest.id ELSE p.next_until END,
            next_xid = CASE WHEN is_final THEN '0' WHEN p.next_xid <> '0' THEN p.next_xid
                            ELSE pg_snapshot_xmax(pg_current_snapshot()) END
        FROM progress, newest
    ),
    outcomes AS (
        DELETE FROM job_outcomes WHERE EXISTS (SELECT FROM progress) RETURNING *
    ),
    found AS (
        SELECT at, task_name, queue_name, event, count, seconds, waited, seconds_buckets, waited_buckets
        FROM outcomes
        UNION ALL
        SELECT now(), j.task_name, j.queue_name, 'enqueued', count(*), 0, 0, '{}', '{}'
        FROM progress JOIN procrastinate_jobs j ON j.id > counted_until AND j.id <= next_until
        WHERE is_final GROUP BY 2, 3
    ),
    minutes AS (
        INSERT INTO minute_counts AS m
        SELECT date_trunc('minute', at), event, sum(count), sum(seconds), sum(waited),
               sum_arrays(seconds_buckets), sum_arrays(waited_buckets)
        FROM found GROUP BY 1, 2
        ON CONFLICT (minute, event) DO UPDATE SET
            count = m.count + excluded.count, seconds = m.seconds + excluded.seconds,
            waited = m.waited + excluded.waited,
            seconds_buckets = add_arrays(m.seconds_buckets, excluded.seconds_buckets),
            waited_buckets = add_arrays(m.waited_buckets, excluded.waited_buckets)
    ),
    paces AS (
        INSERT INTO queue_depths AS d (at, queue_name, waiting, oldest_seconds, runs, waited_buckets)
        SELECT date_trunc('minute', at), queue_name, 0, 0, sum(count), sum_arrays(waited_buckets)
        FROM found WHERE event NOT IN ('enqueued', 'died') GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (at, queue_name) DO UPDATE SET
            runs = d.runs + excluded.runs,
            waited_buckets = add_arrays(d.waited_buckets, excluded.waited_buckets)
    )
    INSERT INTO job_counts AS c (hour, task_name, queue_name, event, count, seconds, waited,
                                 seconds_buckets, waited_buckets)
    SELECT l.hour, task_name, queue_name, event, sum(count), sum(seconds), sum(waited),
           sum_arrays(seconds_buckets), sum_arrays(waited_buckets)
    FROM found, LATERAL (VALUES (date_trunc('hour', at)), ('infinity')) AS l (hour)
    GROUP BY 1, 2, 3, 4
    ON CONFLICT (hour, task_name, queue_name, event) DO UPDATE SET
        count = c.count + excluded.count, seconds = c.seconds + excluded.seconds,
        waited = c.waited + excluded.waited,
        seconds_buckets = add_arrays(c.seconds_buckets, excluded.seconds_buckets),
        waited_buckets = add_arrays(c.waited_buckets, excluded.waited_buckets)
$$;

-- What of a queue could start, and since when the one that waits longest does: of the hundred that came
-- first, since an old job may be ready again only now. Each of our indexes is read for 10,000 jobs at
-- most: nobody must count millions.
CREATE OR REPLACE FUNCTION queue_depth(_queue text, OUT waiting integer, OUT oldest timestamptz)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    WITH ready AS (
        (SELECT j.id FROM procrastinate_jobs j WHERE j.queue_name = _queue AND j.status = 'todo'
           AND j.scheduled_at IS NULL AND j.lock IS NULL ORDER BY -j.priority, j.id LIMIT 10000)
        UNION ALL
        (SELECT j.id FROM procrastinate_jobs j WHERE j.queue_name = _queue AND j.status = 'todo'
           AND j.scheduled_at IS NULL AND j.lock IS NOT NULL
         ORDER BY j.lock, -j.priority, j.id LIMIT 10000)
    ),
    due AS (
        SELECT j.scheduled_at FROM procrastinate_jobs j WHERE j.queue_name = _queue
          AND j.status = 'todo' AND j.scheduled_at <= now() ORDER BY j.scheduled_at, j.id LIMIT 10000
    )
    SELECT (SELECT count(*) FROM ready) + (SELECT count(*) FROM due),
           least((SELECT min(since.at) FROM (SELECT id FROM ready ORDER BY id LIMIT 100) AS first
                  CROSS JOIN LATERAL (
                      SELECT max(e.at) AS at FROM procrastinate_events e
                      WHERE e.job_id = first.id
                        AND e.type IN ('deferred', 'deferred_for_retry', 'retried', 'scheduled')
                        AND e.at <= clock_timestamp()) AS since),
                 (SELECT min(scheduled_at) FROM due))
    INTO waiting, oldest;
END;
$$;

CREATE OR REPLACE FUNCTION note_failures() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO failures_noted (task_name, shape, runs, first_at, last_at, job_id, error)
    SELECT j.task_name, error_shape(e.error), count(*), min(e.at), max(e.at), max(j.id),
           (array_agg(left(e.error, 200) ORDER BY e.id DESC))[1]
    FROM new_errors e JOIN procrastinate_jobs j ON j.id = e.job_id GROUP BY 1, 2;
    RETURN NULL;
END;
$$;

-- Adds up in failure_counts what was noted since the last time.
CREATE OR REPLACE FUNCTION fold_failures() RETURNS void LANGUAGE sql AS $$
    WITH noted AS (DELETE FROM failures_noted RETURNING *)
    INSERT INTO failure_counts AS c (hour, task_name, shape, runs, first_at, last_at, job_id, error)
    SELECT date_trunc('hour', last_at), task_name, shape, sum(runs), min(first_at), max(last_at), max(job_id),
           (array_agg(error ORDER BY last_at DESC))[1]
    FROM noted GROUP BY 1, 2, 3
    ON CONFLICT (hour, task_name, shape) DO UPDATE SET
        runs = c.runs + excluded.runs, first_at = least(c.first_at, excluded.first_at),
        last_at = greatest(c.last_at, excluded.last_at), job_id = greatest(c.job_id, excluded.job_id),
        error = excluded.error
$$;

CREATE OR REPLACE FUNCTION on_our_worker_came() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO worker_history (worker_id, host, pid, started_at)
    VALUES (NEW.worker_id, NEW.host, NEW.pid, NEW.started_at);
    RETURN NULL;
END;
$$;

-- A worker that unregisters itself had a heartbeat just before. One that others removed had none for seconds.
CREATE OR REPLACE FUNCTION on_worker_went() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE worker_history SET ended_at = now(), died = OLD.last_heartbeat < now() - interval '3 seconds'
    WHERE worker_id = OLD.id;
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION is_lock_held(_lock text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE lock = _lock AND status = 'doing')
$$;

CREATE OR REPLACE FUNCTION held_locks() RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(SELECT lock FROM procrastinate_jobs WHERE status = 'doing' AND lock IS NOT NULL)
$$;

-- Whether a job that is todo waits, is scheduled, is to be retried, or is blocked by the one that has
-- its lock. The planner looks into it, so that indexes serve: it has no look-up of its own.
CREATE OR REPLACE FUNCTION is_in_situation(_job procrastinate_jobs, _situation text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT CASE _situation
        WHEN 'retrying' THEN _job.scheduled_at > now() AND _job.attempts > 0
        WHEN 'scheduled' THEN _job.scheduled_at > now() AND _job.attempts = 0
        WHEN 'blocked' THEN (_job.scheduled_at IS NULL OR _job.scheduled_at <= now())
            AND _job.lock = ANY (held_locks())
        ELSE (_job.scheduled_at IS NULL OR _job.scheduled_at <= now())
            AND (_job.lock IS NULL OR NOT is_lock_held(_job.lock)) END
$$;

-- Errors that have these words as they are, or words that begin with these.
CREATE OR REPLACE FUNCTION words_query(_text text, _prefixes text) RETURNS tsquery
LANGUAGE sql IMMUTABLE AS $$
    SELECT plainto_tsquery('simple', _text) || to_tsquery('simple', _prefixes)
$$;
