-- In place of 0002_baseline.sql, for a database that the 25 migrations before it made. Nothing of them
-- was released; workers and API of that time must be stopped meanwhile.

-- Functions, triggers and views are made anew afterwards, in the same transaction.
DROP SCHEMA monitoring CASCADE;
DO $$
DECLARE
    _old regprocedure;
BEGIN
    FOR _old IN
        SELECT p.oid FROM pg_proc p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.proname IN (
            'add_arrays', 'advance_line', 'alive_workers', 'claim_jobs', 'count_export', 'count_jobs',
            'defer_ticket', 'due_lock_heads', 'finish_jobs', 'first_job_since', 'fold_job_counts',
            'gather_mails', 'guarded', 'is_formula', 'is_past', 'is_past_day', 'lock_line_head',
            'lock_line_heads', 'locked_queues', 'mark_stale', 'notify_lock_line', 'notify_queue',
            'notify_ticket', 'on_activities_inserted', 'on_activities_updated', 'on_export_ended',
            'on_export_removed', 'on_export_requested', 'on_jobs_deleted', 'on_jobs_inserted',
            'on_jobs_truncated', 'on_jobs_updated', 'on_line_jobs_ended', 'on_mail_ended',
            'on_mail_failed', 'on_ticket_changed', 'on_tickets_deleted', 'on_workers_deleted',
            'open_ticket', 'open_ticket_later', 'queue_depth', 'rescue_jobs')
    LOOP
        EXECUTE format('DROP FUNCTION %s CASCADE', _old);
    END LOOP;
END
$$;

DROP VIEW waiting_workers;
DROP TABLE busy_workers;

DROP INDEX job_lock_due, job_lock_due_line, job_scheduled;
CREATE INDEX job_scheduled ON procrastinate_jobs (queue_name, scheduled_at, id)
    WHERE status = 'todo' AND scheduled_at IS NOT NULL;
ALTER INDEX job_lock_line RENAME TO job_locked;
ALTER TABLE procrastinate_jobs VALIDATE CONSTRAINT priority_has_a_negative;

ALTER TABLE job_errors ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;

ALTER TABLE job_counts RENAME TO old_job_counts;
ALTER TABLE old_job_counts RENAME CONSTRAINT job_counts_pkey TO old_job_counts_pkey;
CREATE TABLE job_outcomes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    task_name text NOT NULL,
    queue_name text NOT NULL,
    event text NOT NULL,
    count bigint NOT NULL,
    seconds double precision NOT NULL DEFAULT 0,
    waited double precision NOT NULL DEFAULT 0,
    seconds_buckets bigint[] NOT NULL DEFAULT '{}',
    waited_buckets bigint[] NOT NULL DEFAULT '{}'
);
CREATE TABLE job_counts (
    hour timestamptz NOT NULL,
    task_name text NOT NULL,
    queue_name text NOT NULL,
    event text NOT NULL,
    count bigint NOT NULL,
    seconds double precision NOT NULL DEFAULT 0,
    waited double precision NOT NULL DEFAULT 0,
    seconds_buckets bigint[] NOT NULL DEFAULT '{}',
    waited_buckets bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (hour, task_name, queue_name, event)
);
INSERT INTO job_counts (hour, task_name, queue_name, event, count, seconds, waited, seconds_buckets,
                        waited_buckets)
SELECT hour, task_name, queue_name, event, sum(count), sum(seconds), sum(waited),
       ARRAY(SELECT sum(o.seconds_buckets[n])
             FROM old_job_counts o, generate_series(1, cardinality(o.seconds_buckets)) AS n
             WHERE (o.hour, o.task_name, o.queue_name, o.event)
                 = (c.hour, c.task_name, c.queue_name, c.event) GROUP BY n ORDER BY n),
       ARRAY(SELECT sum(o.waited_buckets[n])
             FROM old_job_counts o, generate_series(1, cardinality(o.waited_buckets)) AS n
             WHERE (o.hour, o.task_name, o.queue_name, o.event)
                 = (c.hour, c.task_name, c.queue_name, c.event) GROUP BY n ORDER BY n)
FROM old_job_counts c GROUP BY hour, task_name, queue_name, event;
DROP TABLE old_job_counts;
CREATE TABLE job_count_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    counted_until bigint NOT NULL DEFAULT 0,
    next_until bigint NOT NULL DEFAULT 0,
    next_xid xid8 NOT NULL DEFAULT '0'
);
INSERT INTO job_count_progress (counted_until)
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM procrastinate_jobs_id_seq;

-- One word for each thing.
ALTER TABLE mails RENAME COLUMN occasion TO dedup_key;
ALTER TABLE mails RENAME CONSTRAINT mails_user_id_kind_occasion_key TO mails_user_id_kind_dedup_key_key;
UPDATE procrastinate_jobs SET args = args - 'occasion' || jsonb_build_object('dedup_key', args->'occasion')
WHERE status <> 'succeeded' AND args ? 'occasion';  -- failed ones may be retried
ALTER TABLE job_tickets RENAME COLUMN line TO concurrency_group;
ALTER TABLE job_tickets RENAME COLUMN line_slots TO concurrency_limit;
ALTER INDEX job_tickets_line RENAME TO job_tickets_group;

CREATE TABLE activity_followers (
    user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    count integer NOT NULL
);
INSERT INTO activity_followers (user_id, count) SELECT user_id, count(*) FROM friendships GROUP BY 1;

ALTER TABLE users ADD COLUMN password_changed_at timestamptz;
UPDATE users u SET password_changed_at = r.used_at FROM (
    SELECT user_id, max(used_at) AS used_at FROM password_resets WHERE used_at IS NOT NULL GROUP BY 1
) AS r WHERE r.user_id = u.id;
CREATE INDEX users_password_changed ON users (password_changed_at)
    WHERE password_changed_at IS NOT NULL;
DROP INDEX password_resets_used;
