-- What jobs did, by hour and (hour `infinity`) of all time, as of now: what is added up, what workers
-- appended since, and jobs that were enqueued since. Whoever reads it adds up the rows of a key.
CREATE OR REPLACE VIEW job_activity AS
SELECT hour, task_name, queue_name, event, count, seconds, waited, seconds_buckets, waited_buckets
FROM job_counts
UNION ALL
SELECT l.hour, task_name, queue_name, event, count, seconds, waited, seconds_buckets, waited_buckets
FROM job_outcomes, LATERAL (VALUES (date_trunc('hour', at)), ('infinity')) AS l (hour)
UNION ALL
SELECT l.hour, task_name, queue_name, 'enqueued', count, 0, 0, '{}', '{}'
FROM (SELECT j.task_name::text, j.queue_name::text, count(*) FROM procrastinate_jobs j
      WHERE j.id > (SELECT counted_until FROM job_count_progress) GROUP BY 1, 2) AS enqueued,
     (VALUES (date_trunc('hour', now())), ('infinity')) AS l (hour);
