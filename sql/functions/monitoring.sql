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

-- What of a queue could start, and since when the one that waits longest does. Each of our indexes is
-- read for 10,000 jobs at most: what is more is more, and nobody must count millions.
CREATE OR REPLACE FUNCTION queue_depth(_queue text, OUT waiting integer, OUT oldest timestamptz)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    WITH ready AS (
        SELECT j.id FROM procrastinate_jobs j WHERE j.queue_name = _queue AND j.status = 'todo'
          AND j.scheduled_at IS NULL AND j.lock IS NULL ORDER BY -j.priority, j.id LIMIT 10000
    ),
    locked AS (
        SELECT j.id FROM procrastinate_jobs j WHERE j.queue_name = _queue AND j.status = 'todo'
          AND j.scheduled_at IS NULL AND j.lock IS NOT NULL
        ORDER BY j.lock, -j.priority, j.id LIMIT 10000
    ),
    due AS (
        (SELECT j.scheduled_at FROM procrastinate_jobs j WHERE j.queue_name = _queue
            AND j.status = 'todo' AND j.scheduled_at <= now() AND j.lock IS NULL
         ORDER BY j.scheduled_at, j.id LIMIT 10000)
        UNION ALL
        (SELECT j.scheduled_at FROM procrastinate_jobs j WHERE j.queue_name = _queue
            AND j.status = 'todo' AND j.scheduled_at <= now() AND j.lock IS NOT NULL
         ORDER BY j.scheduled_at, j.id LIMIT 10000)
    )
    SELECT (SELECT count(*) FROM ready) + (SELECT count(*) FROM locked) + (SELECT count(*) FROM due),
           least((SELECT min(e.at) FROM procrastinate_events e
                  WHERE e.job_id = ANY (ARRAY[(SELECT min(id) FROM ready), (SELECT min(id) FROM locked)])
                    AND e.type = 'deferred'),
                 (SELECT min(scheduled_at) FROM due))
    INTO waiting, oldest;
END;
$$;

-- Workers that are alive for people: ours have beaten within ten seconds, stock ones, who beat every
-- ten, within thirty.
CREATE OR REPLACE FUNCTION alive_workers() RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
    SELECT w.id FROM procrastinate_workers w
    WHERE w.last_heartbeat > now() - CASE
        WHEN EXISTS (SELECT FROM our_workers o WHERE o.worker_id = w.id)
        THEN interval '10 seconds' ELSE interval '30 seconds' END
$$;
