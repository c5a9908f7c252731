-- An error without what differs from run to run: numbers, ids, quoted words. It is part of an index,
-- so another shape is another function.
CREATE FUNCTION error_shape(_error text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(left(_error, 200),
                          '''[^'']*''|"[^"]*"|\m[0-9a-f]{8}-[0-9a-f-]{27}\M|\m0x[0-9a-f]+\M|\d+', '#', 'gi')
$$;
CREATE INDEX job_errors_shape ON job_errors (md5(error_shape(error)), job_id);

-- What failed, by hour: all of it, however many errors are alike. Appended as runs end, added up by one
-- worker.
CREATE TABLE failures_noted (
    task_name text NOT NULL,
    shape text NOT NULL,
    runs bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    job_id bigint NOT NULL,                 -- the newest job, and its error
    error text NOT NULL
);
CREATE TABLE failure_counts (
    hour timestamptz NOT NULL,
    LIKE failures_noted,
    PRIMARY KEY (hour, task_name, shape)
);
INSERT INTO failures_noted
SELECT j.task_name, error_shape(e.error), count(*), min(e.at), max(e.at), max(j.id),
       (array_agg(left(e.error, 200) ORDER BY e.id DESC))[1]
FROM job_errors e JOIN procrastinate_jobs j ON j.id = e.job_id
WHERE e.at > now() - interval '1 day'
GROUP BY 1, 2, date_trunc('hour', e.at);
