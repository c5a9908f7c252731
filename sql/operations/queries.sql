-- name: runs
-- All that was ever counted: a few rows for each task.
SELECT task_name AS task, queue_name AS queue, event, sum(count)::bigint AS count,
       sum(seconds) AS seconds, sum(waited) AS waited
FROM job_activity WHERE hour = 'infinity' GROUP BY 1, 2, 3

-- name: buckets
-- The histograms of runs, by task: sums of the arrays' places.
SELECT c.task_name AS task, c.queue_name AS queue, b.place::integer AS place,
       sum(b.seconds)::bigint AS seconds, sum(b.waited)::bigint AS waited
FROM job_activity c, unnest(c.seconds_buckets, c.waited_buckets) WITH ORDINALITY AS b (seconds, waited, place)
WHERE c.hour = 'infinity' AND c.event <> 'enqueued' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3

-- name: workers
SELECT count(*) FROM alive_workers()

-- name: running
SELECT task_name::text AS task, queue_name::text AS queue, count(*) AS count
FROM procrastinate_jobs WHERE status = 'doing' GROUP BY 1, 2

-- name: schedules
-- When each last succeeded, and how often it failed since. What somebody runs by hand has no tick, and
-- says nothing of the schedule.
SELECT t.task_name AS task, s.finished_at AS last_success,
       (SELECT count(*) FROM schedule_runs f WHERE f.task_name = t.task_name AND f.outcome = 'failed'
          AND f.tick IS NOT NULL
          AND f.id > coalesce(s.id, 0)) AS failures
FROM schedule_ticks t LEFT JOIN LATERAL (
    SELECT id, finished_at FROM schedule_runs r
    WHERE r.task_name = t.task_name AND r.tick IS NOT NULL AND r.outcome IN ('succeeded', 'skipped')
    ORDER BY id DESC LIMIT 1
) AS s ON true

-- name: mails
SELECT kind, outcome, sum(count)::bigint AS count FROM mail_counts GROUP BY 1, 2

-- name: exports
SELECT format, outcome, sum(count)::bigint AS count FROM export_counts GROUP BY 1, 2

-- name: sizes
-- With indexes; as files have them, so nothing is counted.
SELECT relname::text AS "table", pg_total_relation_size(oid) AS bytes FROM pg_class
WHERE oid = ANY (ARRAY['procrastinate_jobs', 'procrastinate_events', 'job_errors', 'job_words', 'job_tickets', 'mails',
                       'activities', 'daily_stats']::regclass[]) ORDER BY 1

-- name: mail_health
-- The oldest of those that were tried: a week's mail may be due in hours, and jobs that wait are counted
-- as such.
SELECT (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::double precision FROM mails
        WHERE state IN ('queued', 'sending') AND claimed_at IS NOT NULL) AS oldest,
       (SELECT count(*) FROM suppressed_addresses WHERE until > now() - interval '7 days') AS suppressed,
       most_mails_are_refused() AS most_refused

-- name: in_the_way
-- Sessions that others have waited for for five seconds and more; and those whose transaction is open for
-- a quarter of an hour, so that no vacuum takes what died since.
WITH waiting AS MATERIALIZED (
    SELECT blocker.pid, count(*) AS count
    FROM pg_stat_activity w CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS blocker (pid)
    WHERE w.wait_event_type = 'Lock' AND w.query_start < clock_timestamp() - interval '5 seconds'
    GROUP BY 1
)
SELECT a.pid, coalesce(nullif(a.application_name, ''), a.usename, 'unknown') AS application,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::double precision AS seconds,
       coalesce(waiting.count, 0) AS waiting
FROM pg_stat_activity a LEFT JOIN waiting USING (pid)
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND (waiting.count > 0 AND a.wait_event_type IS DISTINCT FROM 'Lock'
       OR a.xact_start < clock_timestamp() - interval '15 minutes' AND a.backend_type = 'client backend'
          AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL))
ORDER BY waiting DESC, seconds DESC LIMIT 10

-- name: oldest_transaction
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0)::double precision
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
  AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL)  -- or it holds nothing back

-- name: ready
-- What readiness asks of the database: its migrations, and whether a worker is alive.
SELECT (SELECT jsonb_object_agg(name, checksum) FROM schema_migrations) AS migrations,
       EXISTS (SELECT FROM alive_workers()) AS has_worker,
       has_table_privilege('procrastinate_jobs', 'INSERT') AS may_write

-- name: clock
SELECT clock_timestamp()

-- name: fold_counts
SELECT fold_job_counts(), fold_failures()

-- name: note_depths
-- Of each minute the most that was seen.
INSERT INTO queue_depths AS d (at, queue_name, waiting, oldest_seconds)
SELECT date_trunc('minute', now()), q.name, now_waiting.waiting,
       coalesce(extract(epoch FROM now() - now_waiting.oldest), 0)
FROM waiting_queues() AS q (name) CROSS JOIN LATERAL queue_depth(q.name) AS now_waiting
ORDER BY q.name
ON CONFLICT (at, queue_name) DO UPDATE SET
    waiting = greatest(d.waiting, excluded.waiting),
    oldest_seconds = greatest(d.oldest_seconds, excluded.oldest_seconds)
    WHERE excluded.waiting > d.waiting OR excluded.oldest_seconds > d.oldest_seconds

-- name: newest_job
SELECT coalesce(max(id), 0) FROM procrastinate_jobs

-- name: note_words
-- What the next ten blocks of jobs hold, of those that lie below %(until)s as a whole; no row when
-- there are none, or when another worker is at it.
WITH next AS (
    SELECT (SELECT j.id / 1000 FROM procrastinate_jobs j
            WHERE j.id >= coalesce((SELECT max(block) + 1 FROM job_words), 0) * 1000
            ORDER BY j.id LIMIT 1) AS block
    WHERE pg_try_advisory_xact_lock('job_words'::regclass::oid::bigint)
)
INSERT INTO job_words (block, words)
SELECT j.id / 1000, array_agg(DISTINCT word)
FROM next JOIN procrastinate_jobs j
    ON j.id >= next.block * 1000 AND j.id < least(next.block + 10, %(until)s / 1000) * 1000
CROSS JOIN LATERAL (
    SELECT left(word, 100) AS word
    FROM regexp_split_to_table(lower(left(j.args::text, 1000)), '[^[:alnum:]]+') AS word
    UNION ALL VALUES (j.task_name), (j.queue_name)
) AS found
GROUP BY 1 ON CONFLICT DO NOTHING RETURNING block

-- name: notify
SELECT pg_notify(%(channel)s, %(payload)s)

-- name: connections
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
       current_setting('max_connections')::bigint
           - current_setting('superuser_reserved_connections')::bigint AS most
