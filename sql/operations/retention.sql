-- name: job_counts
-- Hours older than a year; the sum of all time has them.
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
