-- Counts of jobs, by hour and (hour `infinity`) of all time. Each writer has lines of its own: nobody
-- waits for another one's transaction.

CREATE OR REPLACE FUNCTION add_arrays(_a bigint[], _b bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY place), '{}')
    FROM unnest(_a, _b) WITH ORDINALITY AS pairs (a, b, place)
$$;

CREATE OR REPLACE AGGREGATE sum_arrays(bigint[]) (SFUNC = add_arrays, STYPE = bigint[], INITCOND = '{}');

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
CREATE OR REPLACE FUNCTION fold_job_counts(_since timestamptz) RETURNS void LANGUAGE sql AS $$
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
