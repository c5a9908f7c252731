-- PDF reports beside CSV files, and an end for files that expired.
ALTER TABLE exports DROP CONSTRAINT exports_format_check;
ALTER TABLE exports ADD CONSTRAINT exports_format_check CHECK (format IN ('csv', 'pdf', 'zip'));
ALTER TABLE exports ADD COLUMN removed_at timestamptz;  -- when its object was removed

-- What is left to remove: expired, and the object still there.
CREATE INDEX job_tickets_expires ON job_tickets (expires_at) WHERE expires_at IS NOT NULL;

-- Whoever follows a ticket (server-sent events) hears of every change that shows: of the ticket
-- itself, and of its job where the ticket does not change with it.
DROP INDEX job_tickets_job;
CREATE INDEX job_tickets_job ON job_tickets (job_id);

CREATE FUNCTION notify_ticket(_id uuid) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('activelog_tickets', _id::text)
$$;

CREATE FUNCTION on_ticket_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM notify_ticket(NEW.id);
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_ticket_changed AFTER UPDATE ON job_tickets FOR EACH ROW
    WHEN ((OLD.progress, OLD.message, OLD.started_at, OLD.completed_at, OLD.cancelled_at)
          IS DISTINCT FROM
          (NEW.progress, NEW.message, NEW.started_at, NEW.completed_at, NEW.cancelled_at))
    EXECUTE FUNCTION on_ticket_changed();

-- As before, and for the tickets of jobs that did not succeed: their followers are told, and a
-- failed export is told of by mail. The database does it, since a job that killed its workers
-- ends without any of them.
CREATE OR REPLACE FUNCTION on_line_jobs_ended() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM new_jobs WHERE status NOT IN ('doing', 'succeeded')) THEN
        PERFORM notify_ticket(t.id)
        FROM new_jobs n JOIN job_tickets t ON t.job_id = n.id
        WHERE n.status NOT IN ('doing', 'succeeded');
        PERFORM procrastinate_defer_jobs_v1(ARRAY[ROW(
            'default', 'activelog.exports.announce_failure', 0, NULL, NULL,
            jsonb_build_object('user_id', t.user_id, 'ticket_id', t.id), NULL
        )::procrastinate_job_to_defer_v1])
        FROM new_jobs n JOIN job_tickets t ON t.job_id = n.id
        WHERE n.status = 'failed' AND n.task_name = 'activelog.exports.generate'
          AND t.cancelled_at IS NULL;
    END IF;
    PERFORM advance_line(ended.line) FROM (
        SELECT DISTINCT t.line FROM new_jobs n JOIN job_tickets t ON t.job_id = n.id
        WHERE n.status NOT IN ('todo', 'doing') AND t.line IS NOT NULL
        ORDER BY t.line  -- in one order, or two workers could wait for each other
    ) AS ended;
    RETURN NULL;
END;
$$;
