-- Work that is asked for by a ticket says by which request, also when it waits in its line first.
ALTER TABLE job_tickets ADD COLUMN request_id text;

DROP FUNCTION open_ticket(uuid, bigint, text, text, text, text, integer, integer);
DROP FUNCTION defer_ticket(uuid, text, text);

CREATE FUNCTION defer_ticket(_id uuid, _task text, _queue text, _request_id text)
RETURNS bigint LANGUAGE sql AS $$
    SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
        _queue, _task, 0, NULL, NULL,
        jsonb_strip_nulls(jsonb_build_object('ticket_id', _id, 'request_id', _request_id)), NULL
    )::procrastinate_job_to_defer_v1]))
$$;

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
    LOOP
        UPDATE job_tickets SET job_id = defer_ticket(id, task, queue, request_id) WHERE id = ticket.id;
    END LOOP;
END;
$$;

-- Opens a ticket together with its job, in the caller's statement. False, and nothing opened, when
-- _waiting tickets of its line wait already.
CREATE FUNCTION open_ticket(
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
