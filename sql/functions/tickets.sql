-- What happens to tickets by themselves, and how they are opened.

-- Whoever follows a ticket hears of each change.
CREATE OR REPLACE FUNCTION notify_ticket(_id uuid) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('activelog_tickets', _id::text)
$$;

CREATE OR REPLACE FUNCTION on_ticket_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM notify_ticket(NEW.id);
    RETURN NULL;
END;
$$;

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

CREATE OR REPLACE FUNCTION defer_ticket(_id uuid, _task text, _queue text, _request_id text)
RETURNS bigint LANGUAGE sql AS $$
    SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
        _queue, _task, 0, NULL, NULL,
        jsonb_strip_nulls(jsonb_build_object('ticket_id', _id, 'request_id', _request_id)), NULL
    )::procrastinate_job_to_defer_v1]))
$$;

-- Opens a ticket together with its job, in the caller's statement. False, and nothing opened, when
-- _waiting tickets of its line wait already.
CREATE OR REPLACE FUNCTION open_ticket(
    _id uuid, _user_id bigint, _kind text, _task text, _queue text,
    _line text, _line_slots integer, _waiting integer, _request_id text
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF _line IS NULL THEN
        INSERT INTO job_tickets (id, user_id, kind, task, queue, request_id, job_id, message)
        VALUES (_id, _user_id, _kind, _task, _queue, _request_id,
                defer_ticket(_id, _task, _queue, _request_id), 'Waiting to start');
    ELSE
        PERFORM pg_advisory_xact_lock(hashtextextended('line ' || _line, 0));
        IF (SELECT count(*) FROM job_tickets
            WHERE line = _line AND completed_at IS NULL AND cancelled_at IS NULL
              AND job_id IS NULL) >= _waiting THEN
            RETURN false;
        END IF;
        INSERT INTO job_tickets (id, user_id, kind, task, queue, request_id, line, line_slots, message)
        VALUES (_id, _user_id, _kind, _task, _queue, _request_id, _line, _line_slots,
                'Waiting to start');
        PERFORM advance_line(_line);
    END IF;
    RETURN true;
END;
$$;

-- A ticket for work that starts later.
CREATE OR REPLACE FUNCTION open_ticket_later(
    _id uuid, _user_id bigint, _kind text, _task text, _queue text, _args jsonb, _at timestamptz
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO job_tickets (id, user_id, kind, task, queue, message, job_id)
    SELECT _id, _user_id, _kind, _task, _queue, 'Waiting to start',
           unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
               _queue, _task, 0, NULL, NULL, _args, _at)::procrastinate_job_to_defer_v1]))
$$;
