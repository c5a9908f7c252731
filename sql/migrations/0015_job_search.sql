-- What the jobs page finds by an index: jobs that came at a time, jobs of a task or a queue, and jobs
-- with some words in their arguments.

-- The first job that came at a time or later. Ids follow the time at which jobs came, so it halves
-- the ids, with two look-ups each time; jobs whose transactions overlapped may be on either side.
CREATE FUNCTION first_job_since(_at timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE
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

-- Which words the jobs of a block have: blocks of a thousand ids, one line each. An index entry for
-- each word of each job would cost more than running the job does; here the jobs of a block share
-- it, workers write it a minute or two later, and who looks for a word reads the blocks that have it.
CREATE TABLE job_words (
    block bigint PRIMARY KEY,               -- the jobs' ids, divided by a thousand
    words text[] NOT NULL                   -- of arguments; tasks and queues, whole
);
CREATE INDEX job_words_words ON job_words USING gin (words);
