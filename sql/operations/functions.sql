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
