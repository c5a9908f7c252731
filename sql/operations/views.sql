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

-- What people watch by SQL. The names of these views and of their columns are promised (README);
-- `activelog migrate` makes them anew when something changed.
DROP SCHEMA IF EXISTS monitoring CASCADE;
CREATE SCHEMA monitoring;
COMMENT ON SCHEMA monitoring IS 'Jobs, queues, failures, schedules, mails, exports, workers: for people and their tools';

CREATE VIEW monitoring.jobs AS
SELECT j.id, j.queue_name::text AS queue, j.task_name::text AS task, j.status::text AS status, j.args,
       j.attempts, j.priority, j.lock, coalesce(j.scheduled_at, (
           SELECT max(e.at) FROM procrastinate_events e
           WHERE e.job_id = j.id AND e.type = 'scheduled')) AS scheduled_at, j.worker_id,
       (SELECT min(e.at) FROM procrastinate_events e WHERE e.job_id = j.id AND e.type = 'deferred')
           AS created_at,
       (SELECT max(e.at) FROM procrastinate_events e WHERE e.job_id = j.id AND e.type = 'started')
           AS started_at,
       (SELECT max(e.at) FROM procrastinate_events e
        WHERE e.job_id = j.id AND e.type IN ('succeeded', 'failed', 'aborted', 'cancelled')) AS ended_at
FROM procrastinate_jobs j;
COMMENT ON VIEW monitoring.jobs IS 'Every job that is still kept, with its times';
COMMENT ON COLUMN monitoring.jobs.id IS 'as people and logs name it';
COMMENT ON COLUMN monitoring.jobs.queue IS 'which workers may take it';
COMMENT ON COLUMN monitoring.jobs.task IS 'what runs';
COMMENT ON COLUMN monitoring.jobs.priority IS 'higher first within its queue';
COMMENT ON COLUMN monitoring.jobs.lock IS 'jobs with one lock run one after the other';
COMMENT ON COLUMN monitoring.jobs.status IS 'todo, doing, succeeded, failed, aborted or cancelled';
COMMENT ON COLUMN monitoring.jobs.args IS 'ids and dates, and what an admin searched for; no personal data';
COMMENT ON COLUMN monitoring.jobs.attempts IS 'runs so far that count';
COMMENT ON COLUMN monitoring.jobs.scheduled_at IS 'not before; NULL: at once';
COMMENT ON COLUMN monitoring.jobs.worker_id IS 'who runs it';
COMMENT ON COLUMN monitoring.jobs.created_at IS 'when it was enqueued';
COMMENT ON COLUMN monitoring.jobs.started_at IS 'when its last run began';
COMMENT ON COLUMN monitoring.jobs.ended_at IS 'when it ended for good';

CREATE VIEW monitoring.queues AS
SELECT queue_name::text AS queue,
       count(*) FILTER (WHERE status = 'todo' AND coalesce(scheduled_at, now()) <= now()) AS waiting,
       count(*) FILTER (WHERE status = 'todo' AND scheduled_at > now()) AS later,
       count(*) FILTER (WHERE status = 'doing') AS running,
       EXISTS (SELECT FROM paused_queues p WHERE p.queue_name = n.queue_name) AS paused,
       (SELECT l.running FROM queue_limits l WHERE l.queue_name = n.queue_name) AS running_limit
FROM (SELECT queue_name, status, scheduled_at FROM procrastinate_jobs WHERE status IN ('todo', 'doing')
      UNION ALL SELECT queue_name, NULL, NULL FROM paused_queues
      UNION ALL SELECT queue_name, NULL, NULL FROM queue_limits) AS n GROUP BY queue_name;
COMMENT ON VIEW monitoring.queues IS 'What waits and runs; it counts all of it';
COMMENT ON COLUMN monitoring.queues.queue IS 'its name';
COMMENT ON COLUMN monitoring.queues.running IS 'at work';
COMMENT ON COLUMN monitoring.queues.waiting IS 'could start now';
COMMENT ON COLUMN monitoring.queues.later IS 'scheduled, or waiting for another try';
COMMENT ON COLUMN monitoring.queues.paused IS 'workers take nothing from it';
COMMENT ON COLUMN monitoring.queues.running_limit IS 'how many of its jobs may run at once; NULL: any number';

CREATE VIEW monitoring.failures AS
SELECT e.at, e.job_id, j.task_name::text AS task, j.queue_name::text AS queue, j.args, e.attempt, e.kind,
       e.error, e.traceback
FROM job_errors e JOIN procrastinate_jobs j ON j.id = e.job_id;
COMMENT ON VIEW monitoring.failures IS 'Runs that did not succeed, with tracebacks';
COMMENT ON COLUMN monitoring.failures.at IS 'when the run ended';
COMMENT ON COLUMN monitoring.failures.job_id IS 'whose run it was';
COMMENT ON COLUMN monitoring.failures.task IS 'what ran';
COMMENT ON COLUMN monitoring.failures.queue IS 'its queue';
COMMENT ON COLUMN monitoring.failures.args IS 'ids and dates, and what an admin searched for; no personal data';
COMMENT ON COLUMN monitoring.failures.error IS 'class and message';
COMMENT ON COLUMN monitoring.failures.traceback IS 'NULL after a death';
COMMENT ON COLUMN monitoring.failures.kind IS 'error, or death: the worker was gone';
COMMENT ON COLUMN monitoring.failures.attempt IS '1 for the first run';

CREATE VIEW monitoring.slowest AS
SELECT task_name AS task, queue_name AS queue, sum(count) AS runs,
       sum(seconds) / nullif(sum(count), 0) AS mean_seconds,
       sum(waited) / nullif(sum(count), 0) AS mean_wait_seconds
FROM job_activity WHERE event <> 'enqueued' AND hour > now() - interval '1 day' AND hour < 'infinity'
GROUP BY task_name, queue_name ORDER BY mean_seconds DESC NULLS LAST;
COMMENT ON VIEW monitoring.slowest IS 'Tasks of the last day, the slowest first';
COMMENT ON COLUMN monitoring.slowest.task IS 'what ran';
COMMENT ON COLUMN monitoring.slowest.queue IS 'its queue';
COMMENT ON COLUMN monitoring.slowest.runs IS 'of the last 24 hours, whatever their end';
COMMENT ON COLUMN monitoring.slowest.mean_seconds IS 'of a run';
COMMENT ON COLUMN monitoring.slowest.mean_wait_seconds IS 'from when a job could start to its start';

CREATE VIEW monitoring.schedules AS
SELECT t.task_name AS task, t.cron, to_timestamp(t.last_tick) AS last_tick, r.started_at, r.finished_at,
       r.outcome, r.counts, r.error,
       (SELECT max(finished_at) FROM schedule_runs s
        WHERE s.task_name = t.task_name AND s.tick IS NOT NULL
          AND s.outcome IN ('succeeded', 'skipped')) AS last_success
FROM schedule_ticks t LEFT JOIN LATERAL (
    SELECT * FROM schedule_runs r WHERE r.task_name = t.task_name ORDER BY id DESC LIMIT 1) r ON true;
COMMENT ON VIEW monitoring.schedules IS 'Every schedule with its last run';
COMMENT ON COLUMN monitoring.schedules.task IS 'what runs';
COMMENT ON COLUMN monitoring.schedules.cron IS 'when, in UTC';
COMMENT ON COLUMN monitoring.schedules.last_tick IS 'the latest that became a job';
COMMENT ON COLUMN monitoring.schedules.started_at IS 'when its last run began';
COMMENT ON COLUMN monitoring.schedules.finished_at IS 'when that ended';
COMMENT ON COLUMN monitoring.schedules.outcome IS 'succeeded, skipped or failed; NULL while it runs';
COMMENT ON COLUMN monitoring.schedules.error IS 'why it failed';
COMMENT ON COLUMN monitoring.schedules.last_success IS 'when a run of a tick last succeeded or had nothing to do';
COMMENT ON COLUMN monitoring.schedules.counts IS 'what the run did, in numbers';

CREATE VIEW monitoring.mails AS
SELECT id, kind, user_id, dedup_key AS occasion, state, attempts, answer, size, created_at, claimed_at, finished_at
FROM mails;
COMMENT ON VIEW monitoring.mails IS 'The outbox';
COMMENT ON COLUMN monitoring.mails.id IS 'of the mail';
COMMENT ON COLUMN monitoring.mails.kind IS 'which of our mails';
COMMENT ON COLUMN monitoring.mails.user_id IS 'whose';
COMMENT ON COLUMN monitoring.mails.occasion IS 'what tells it from others of its kind';
COMMENT ON COLUMN monitoring.mails.attempts IS 'how often a relay was asked';
COMMENT ON COLUMN monitoring.mails.size IS 'bytes';
COMMENT ON COLUMN monitoring.mails.created_at IS 'when it was written';
COMMENT ON COLUMN monitoring.mails.claimed_at IS 'when it was last tried';
COMMENT ON COLUMN monitoring.mails.finished_at IS 'when it had its end';
COMMENT ON COLUMN monitoring.mails.state IS 'queued, sending, sent, skipped, suppressed or failed';
COMMENT ON COLUMN monitoring.mails.answer IS 'what the relay said last, or why it was not sent';

CREATE VIEW monitoring.exports AS
SELECT e.id, e.user_id, e.format, e.filters, e.created_at, t.progress, t.started_at, t.completed_at,
       t.cancelled_at, t.expires_at, e.removed_at, (t.result->>'file_size')::bigint AS size,
       j.status::text AS job_status
FROM exports e JOIN job_tickets t ON t.id = e.id LEFT JOIN procrastinate_jobs j ON j.id = t.job_id;
COMMENT ON VIEW monitoring.exports IS 'Exports with their progress and end';
COMMENT ON COLUMN monitoring.exports.id IS 'the ticket that people follow';
COMMENT ON COLUMN monitoring.exports.user_id IS 'whose';
COMMENT ON COLUMN monitoring.exports.format IS 'csv, pdf or zip';
COMMENT ON COLUMN monitoring.exports.filters IS 'as asked for';
COMMENT ON COLUMN monitoring.exports.created_at IS 'when it was asked for';
COMMENT ON COLUMN monitoring.exports.progress IS 'percent';
COMMENT ON COLUMN monitoring.exports.started_at IS 'when its first run began';
COMMENT ON COLUMN monitoring.exports.completed_at IS 'when the file was there';
COMMENT ON COLUMN monitoring.exports.cancelled_at IS 'when somebody stopped it';
COMMENT ON COLUMN monitoring.exports.expires_at IS 'until when it can be downloaded';
COMMENT ON COLUMN monitoring.exports.job_status IS 'of its job; NULL before it has one and after that is gone';
COMMENT ON COLUMN monitoring.exports.size IS 'bytes';
COMMENT ON COLUMN monitoring.exports.removed_at IS 'when the file of an expired one was removed';

CREATE VIEW monitoring.workers AS
SELECT w.id, w.last_heartbeat, w.last_heartbeat > now() - CASE
           WHEN o.worker_id IS NULL THEN interval '30 seconds' ELSE interval '10 seconds' END AS alive,
       (SELECT count(*) FROM procrastinate_jobs j WHERE j.worker_id = w.id AND j.status = 'doing')
           AS running,
       o.host, o.pid, o.slots, o.queues, o.started_at
FROM procrastinate_workers w LEFT JOIN our_workers o ON o.worker_id = w.id;
COMMENT ON VIEW monitoring.workers IS 'Workers and what they run';
COMMENT ON COLUMN monitoring.workers.id IS 'as jobs name it';
COMMENT ON COLUMN monitoring.workers.last_heartbeat IS 'the latest, one a second';
COMMENT ON COLUMN monitoring.workers.running IS 'jobs at work';
COMMENT ON COLUMN monitoring.workers.alive IS 'beat within ten seconds (a stock worker: thirty)';
COMMENT ON COLUMN monitoring.workers.host IS 'where it runs; NULL, like all that follows: a stock worker';
COMMENT ON COLUMN monitoring.workers.pid IS 'its process there';
COMMENT ON COLUMN monitoring.workers.slots IS 'jobs that it runs at once';
COMMENT ON COLUMN monitoring.workers.queues IS 'those that it takes; NULL: all';
COMMENT ON COLUMN monitoring.workers.started_at IS 'when it began';

-- A role that sees these views and nothing else; give it to whoever watches:
-- GRANT activelog_monitoring TO somebody.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'activelog_monitoring') THEN
        CREATE ROLE activelog_monitoring NOLOGIN;
    END IF;
    GRANT USAGE ON SCHEMA monitoring TO activelog_monitoring;
    GRANT SELECT ON ALL TABLES IN SCHEMA monitoring TO activelog_monitoring;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'this user may make no roles: there is no activelog_monitoring';
END
$$;
