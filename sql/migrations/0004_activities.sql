-- What a person asked for and follows by its id. Whether it waits, runs or failed is the engine's
-- to say (procrastinate_jobs, job_errors); here stands what the engine does not know.
CREATE TABLE job_tickets (
    id uuid PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    kind text NOT NULL,
    task text NOT NULL,
    queue text NOT NULL,
    line text,                              -- tickets of one line run a few at a time
    line_slots integer,                     -- so many
    job_id bigint,                          -- NULL: waits in its line; no foreign key: old jobs go
    progress smallint NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    message text NOT NULL,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz,
    cancelled_at timestamptz,
    expires_at timestamptz
);
CREATE INDEX job_tickets_user ON job_tickets (user_id, created_at DESC, id);
CREATE INDEX job_tickets_pace ON job_tickets (kind, completed_at DESC)
    WHERE completed_at IS NOT NULL;

CREATE INDEX job_tickets_line ON job_tickets (line, created_at)
    WHERE line IS NOT NULL AND completed_at IS NULL AND cancelled_at IS NULL;
CREATE INDEX job_tickets_job ON job_tickets (job_id) WHERE line IS NOT NULL;

-- Turns waiting tickets of a line into jobs while it has free slots. What waits is no job yet, so
-- it stands in nobody's way in the queue.
CREATE FUNCTION advance_line(_line text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    ticket record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('line ' || _line, 0));
    FOR ticket IN
        SELECT t.id, t.task, t.queue FROM job_tickets t
        WHERE t.line = _line AND t.completed_at IS NULL AND t.cancelled_at IS NULL
          AND t.job_id IS NULL
        ORDER BY t.created_at, t.id
        LIMIT (SELECT greatest(0, max(a.line_slots) - count(j.id))
               FROM job_tickets a
               LEFT JOIN procrastinate_jobs j ON j.id = a.job_id AND j.status IN ('todo', 'doing')
               WHERE a.line = _line AND a.completed_at IS NULL AND a.cancelled_at IS NULL)
    LOOP
        UPDATE job_tickets SET job_id = defer_ticket(id, task, queue) WHERE id = ticket.id;
    END LOOP;
END;
$$;

CREATE FUNCTION defer_ticket(_id uuid, _task text, _queue text) RETURNS bigint LANGUAGE sql AS $$
    SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
        _queue, _task, 0, NULL, NULL, jsonb_build_object('ticket_id', _id), NULL
    )::procrastinate_job_to_defer_v1]))
$$;

-- Opens a ticket together with its job, in the caller's statement. False, and nothing opened, when
-- _waiting tickets of its line wait already.
CREATE FUNCTION open_ticket(
    _id uuid, _user_id bigint, _kind text, _task text, _queue text,
    _line text, _line_slots integer, _waiting integer
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF _line IS NULL THEN
        INSERT INTO job_tickets (id, user_id, kind, task, queue, job_id, message)
        VALUES (_id, _user_id, _kind, _task, _queue, defer_ticket(_id, _task, _queue),
                'Waiting to start');
    ELSE
        PERFORM pg_advisory_xact_lock(hashtextextended('line ' || _line, 0));
        IF (SELECT count(*) FROM job_tickets
            WHERE line = _line AND completed_at IS NULL AND cancelled_at IS NULL
              AND job_id IS NULL) >= _waiting THEN
            RETURN false;
        END IF;
        INSERT INTO job_tickets (id, user_id, kind, task, queue, line, line_slots, message)
        VALUES (_id, _user_id, _kind, _task, _queue, _line, _line_slots, 'Waiting to start');
        PERFORM advance_line(_line);
    END IF;
    RETURN true;
END;
$$;

-- Whatever ends a job of a line (a worker of any kind, SQL, a cancellation) lets the next one in.
CREATE FUNCTION on_line_jobs_ended() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    PERFORM advance_line(ended.line) FROM (
        SELECT DISTINCT t.line FROM new_jobs n JOIN job_tickets t ON t.job_id = n.id
        WHERE n.status NOT IN ('todo', 'doing') AND t.line IS NOT NULL
        ORDER BY t.line  -- in one order, or two workers could wait for each other
    ) AS ended;
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_line_jobs_ended AFTER UPDATE ON procrastinate_jobs
    REFERENCING NEW TABLE AS new_jobs FOR EACH STATEMENT EXECUTE FUNCTION on_line_jobs_ended();

CREATE TABLE activities (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    activity_date timestamptz NOT NULL,     -- when it started, whole seconds
    duration_minutes integer NOT NULL CHECK (duration_minutes BETWEEN 0 AND 100000),
    calories integer CHECK (calories BETWEEN 0 AND 1000000),
    -- kilometres, to the metre; NaN is greater than every number and so refused too
    distance_km double precision NOT NULL CHECK (distance_km BETWEEN 0 AND 1000000),
    activity_type text NOT NULL,
    notes text NOT NULL DEFAULT '',         -- lines end with LF
    -- In the row: a table of tags halves the speed of every export.
    tags text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX activities_user ON activities (user_id, activity_date DESC, id DESC)
    WHERE deleted_at IS NULL;
CREATE INDEX activities_tags ON activities USING gin (tags) WHERE deleted_at IS NULL;
CREATE INDEX activities_deleted ON activities (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE exports (
    id uuid PRIMARY KEY REFERENCES job_tickets ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    format text NOT NULL CHECK (format IN ('csv')),
    filters jsonb NOT NULL,
    object_key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX exports_user ON exports (user_id, created_at DESC, id DESC);

CREATE TABLE imports (
    id uuid PRIMARY KEY REFERENCES job_tickets ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    object_key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
