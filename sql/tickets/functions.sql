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

-- Followers of a ticket are told when its job did not succeed, and whatever ends a job of a concurrency
-- group admits the next one. The database does it, since a job that killed its workers ends without any
-- of them.
CREATE OR REPLACE FUNCTION on_ticket_jobs_changed() RETURNS trigger LANGUAGE plpgsql
SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM new_jobs WHERE status NOT IN ('doing', 'succeeded')) THEN
        PERFORM notify_ticket(t.id) FROM job_tickets t
        WHERE t.job_id = ANY (ARRAY(SELECT id FROM new_jobs WHERE status NOT IN ('doing', 'succeeded')));
    END IF;
    IF EXISTS (SELECT FROM new_jobs WHERE status NOT IN ('todo', 'doing')) THEN
        PERFORM admit_waiting(ended.concurrency_group) FROM (
            SELECT DISTINCT t.concurrency_group FROM job_tickets t
            WHERE t.concurrency_group IS NOT NULL AND t.job_id = ANY (ARRAY(
                SELECT id FROM new_jobs WHERE status NOT IN ('todo', 'doing')))
            ORDER BY 1  -- in one order, or two workers could deadlock
        ) AS ended;
    END IF;
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION on_ticket_jobs_deleted() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    PERFORM admit_waiting(left_by.concurrency_group) FROM (
        SELECT DISTINCT t.concurrency_group FROM job_tickets t
        WHERE t.concurrency_group IS NOT NULL AND t.completed_at IS NULL AND t.cancelled_at IS NULL
          AND t.job_id = ANY (ARRAY(SELECT id FROM old_jobs))
        ORDER BY 1
    ) AS left_by;
    RETURN NULL;
END;
$$;

-- A ticket that is deleted before its job has ended leaves a place in its group.
CREATE OR REPLACE FUNCTION on_tickets_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM admit_waiting(left_by.concurrency_group) FROM (
        SELECT DISTINCT concurrency_group FROM old_tickets
        WHERE concurrency_group IS NOT NULL AND completed_at IS NULL ORDER BY 1
    ) AS left_by;
    RETURN NULL;
END;
$$;

-- Defers the jobs of the next tickets of a concurrency group, as many as its limit leaves room for: an
-- admin's, or the one that they were opened with. It skips a ticket that
-- another transaction is cancelling or deleting: waiting for it could deadlock.
CREATE OR REPLACE FUNCTION admit_waiting(_group text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ticket record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('group ' || _group, 0));
    FOR ticket IN
        SELECT t.id FROM job_tickets t
        WHERE t.concurrency_group = _group AND t.completed_at IS NULL AND t.cancelled_at IS NULL
          AND t.job_id IS NULL
        ORDER BY t.created_at, t.id
        LIMIT (SELECT greatest(0, coalesce((SELECT running FROM group_limits WHERE work = split_part(_group, ' of ', 1)),
                                           max(a.concurrency_limit)) - count(j.id))
               FROM job_tickets a
               LEFT JOIN procrastinate_jobs j ON j.id = a.job_id AND j.status IN ('todo', 'doing')
               WHERE a.concurrency_group = _group AND a.completed_at IS NULL AND a.cancelled_at IS NULL)
        FOR UPDATE OF t SKIP LOCKED
    LOOP
        UPDATE job_tickets SET job_id = defer_ticket(id, task, queue, origin) WHERE id = ticket.id;
    END LOOP;
END;
$$;

CREATE OR REPLACE FUNCTION defer_ticket(_id uuid, _task text, _queue text, _origin jsonb)
RETURNS bigint LANGUAGE sql AS $$
    SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
        _queue, _task, 0, NULL, NULL,
        _origin || jsonb_build_object('ticket_id', _id), NULL
    )::procrastinate_job_to_defer_v1]))
$$;

-- Opens a ticket of a concurrency group, together with its job where there is room, in the caller's
-- statement. False, and nothing opened, when _most_waiting tickets of the group wait already.
CREATE OR REPLACE FUNCTION open_ticket(
    _id uuid, _user_id bigint, _kind text, _task text, _queue text,
    _group text, _limit integer, _most_waiting integer, _origin jsonb
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('group ' || _group, 0));
    IF (SELECT count(*) FROM job_tickets
        WHERE concurrency_group = _group AND completed_at IS NULL AND cancelled_at IS NULL
          AND job_id IS NULL) >= _most_waiting THEN
        RETURN false;
    END IF;
    INSERT INTO job_tickets (id, user_id, kind, task, queue, origin, concurrency_group,
                             concurrency_limit, message)
    VALUES (_id, _user_id, _kind, _task, _queue, _origin, _group, _limit, 'Waiting to start');
    PERFORM admit_waiting(_group);
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
