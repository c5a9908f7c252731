-- name: queues
-- What is unfinished, by queue: a walk over the indexes of waiting and running jobs, not the table.
SELECT queue_name::text AS queue,
       count(*) FILTER (WHERE status = 'todo') AS waiting,
       count(*) FILTER (WHERE status = 'doing') AS running
FROM procrastinate_jobs WHERE status IN ('todo', 'doing') GROUP BY queue_name

-- name: workers
SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '10 seconds'
