-- name: job_count_days
-- The hours of a day become one row when nobody looks at them by the hour any more.
WITH hours AS (
    DELETE FROM job_counts WHERE (hour, task_name, queue_name, event) IN (
        SELECT hour, task_name, queue_name, event FROM job_counts
        WHERE hour < date_trunc('day', %(now)s::timestamptz - interval '3 days')
          AND hour <> date_trunc('day', hour)
        ORDER BY hour LIMIT %(page)s)
    RETURNING *
),
days AS (
    INSERT INTO job_counts AS c (hour, task_name, queue_name, event, count, seconds, waited,
                                 seconds_buckets, waited_buckets)
    SELECT date_trunc('day', hour), task_name, queue_name, event, sum(count), sum(seconds), sum(waited),
           sum_arrays(seconds_buckets), sum_arrays(waited_buckets)
    FROM hours GROUP BY 1, 2, 3, 4
    ON CONFLICT (hour, task_name, queue_name, event) DO UPDATE SET
        count = c.count + excluded.count, seconds = c.seconds + excluded.seconds,
        waited = c.waited + excluded.waited,
        seconds_buckets = add_arrays(c.seconds_buckets, excluded.seconds_buckets),
        waited_buckets = add_arrays(c.waited_buckets, excluded.waited_buckets)
)
SELECT FROM hours

-- name: job_counts
-- Those older than a year; the sum of all time has them.
DELETE FROM job_counts WHERE (hour, task_name, queue_name, event) IN (
    SELECT hour, task_name, queue_name, event FROM job_counts
    WHERE hour < %(now)s::timestamptz - interval '1 year' ORDER BY hour LIMIT %(page)s)

-- name: minute_counts
DELETE FROM minute_counts WHERE (minute, event) IN (
    SELECT minute, event FROM minute_counts
    WHERE minute < %(now)s::timestamptz - interval '1 day' ORDER BY minute LIMIT %(page)s)

-- name: queue_depths
DELETE FROM queue_depths WHERE (at, queue_name) IN (
    SELECT at, queue_name FROM queue_depths WHERE at < %(now)s::timestamptz - interval '40 days'
    ORDER BY at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: job_words
-- Of blocks whose jobs are all gone.
DELETE FROM job_words WHERE block IN (
    SELECT block FROM job_words
    WHERE block < (SELECT coalesce(min(id) / 1000, 0) FROM procrastinate_jobs)
    ORDER BY block LIMIT %(page)s)

-- name: failure_counts
DELETE FROM failure_counts WHERE (hour, task_name, shape) IN (
    SELECT hour, task_name, shape FROM failure_counts
    WHERE hour < %(now)s::timestamptz - interval '40 days' ORDER BY hour LIMIT %(page)s)

-- name: worker_history
DELETE FROM worker_history WHERE worker_id IN (
    SELECT worker_id FROM worker_history WHERE ended_at < %(now)s::timestamptz - interval '8 days'
    ORDER BY worker_id LIMIT %(page)s FOR UPDATE SKIP LOCKED)
