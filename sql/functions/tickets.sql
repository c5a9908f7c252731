-- What happens to tickets by themselves; `activelog migrate` makes these functions
-- and triggers anew.

-- Whoever follows a ticket is told when its job did not succeed, a failed export is told of by mail,
-- and whatever ends a job of a line lets the next one in. The database does it, since a job that
-- killed its workers ends without any of them.
CREATE OR REPLACE FUNCTION on_line_jobs_ended() RETURNS trigger LANGUAGE plpgsql
SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM new_jobs WHERE status NOT IN ('doing', 'succeeded')) THEN
        PERFORM notify_ticket(t.id) FROM job_tickets t
        WHERE t.job_id = ANY (ARRAY(SELECT id FROM new_jobs WHERE status NOT IN ('doing', 'succeeded')));
        PERFORM count_export(t.id, 'failed'), procrastinate_defer_jobs_v1(ARRAY[ROW(
            'default', 'activelog.exports.announce_failure', 0, NULL, NULL,
            jsonb_build_object('user_id', t.user_id, 'ticket_id', t.id), NULL
        )::procrastinate_job_to_defer_v1])
        FROM job_tickets t
        WHERE t.cancelled_at IS NULL AND t.job_id = ANY (ARRAY(
            SELECT id FROM new_jobs
            WHERE status = 'failed' AND task_name = 'activelog.exports.generate'));
    END IF;
    PERFORM advance_line(ended.line) FROM (
        SELECT DISTINCT t.line FROM job_tickets t
        WHERE t.line IS NOT NULL AND t.job_id = ANY (ARRAY(
            SELECT id FROM new_jobs WHERE status NOT IN ('todo', 'doing')))
        ORDER BY t.line  -- in one order, or two workers could wait for each other
    ) AS ended;
    RETURN NULL;
END;
$$;
CREATE OR REPLACE TRIGGER on_line_jobs_ended AFTER UPDATE ON procrastinate_jobs
    REFERENCING NEW TABLE AS new_jobs FOR EACH STATEMENT
    WHEN (current_setting('activelog.starts', true) IS DISTINCT FROM 'noted')
    EXECUTE FUNCTION on_line_jobs_ended();

-- Lets the next tickets of a line have their jobs, as many as there are places. One that somebody is
-- cancelling or deleting is passed over: waiting for it could be waiting for each other.
CREATE OR REPLACE FUNCTION advance_line(_line text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ticket record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('line ' || _line, 0));
    FOR ticket IN
        SELECT t.id FROM job_tickets t
        WHERE t.line = _line AND t.completed_at IS NULL AND t.cancelled_at IS NULL
          AND t.job_id IS NULL
        ORDER BY t.created_at, t.id
        LIMIT (SELECT greatest(0, max(a.line_slots) - count(j.id))
               FROM job_tickets a
               LEFT JOIN procrastinate_jobs j ON j.id = a.job_id AND j.status IN ('todo', 'doing')
               WHERE a.line = _line AND a.completed_at IS NULL AND a.cancelled_at IS NULL)
        FOR UPDATE OF t SKIP LOCKED
    LOOP
        UPDATE job_tickets SET job_id = defer_ticket(id, task, queue, request_id) WHERE id = ticket.id;
    END LOOP;
END;
$$;

-- A ticket that is deleted before its job has ended leaves a place in its line.
CREATE OR REPLACE FUNCTION on_tickets_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM advance_line(left_by.line) FROM (
        SELECT DISTINCT line FROM old_tickets
        WHERE line IS NOT NULL AND completed_at IS NULL ORDER BY line
    ) AS left_by;
    RETURN NULL;
END;
$$;
CREATE OR REPLACE TRIGGER on_tickets_deleted AFTER DELETE ON job_tickets
    REFERENCING OLD TABLE AS old_tickets FOR EACH STATEMENT EXECUTE FUNCTION on_tickets_deleted();
