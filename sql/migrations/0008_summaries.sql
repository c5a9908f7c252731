-- What happens by itself, and when it did.
CREATE TABLE schedule_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_name text NOT NULL,
    tick timestamptz,                       -- NULL: deferred by hand
    job_id bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    outcome text CHECK (outcome IN ('succeeded', 'failed', 'skipped')),  -- NULL: at work, or died
    counts jsonb NOT NULL DEFAULT '{}',     -- what it did, in numbers
    error text
);
CREATE INDEX schedule_runs_task ON schedule_runs (task_name, id DESC);
CREATE INDEX schedule_runs_started ON schedule_runs (started_at);

-- A user's day in figures. The day comes first in the key: a night writes one day, in order. No
-- foreign key: checking a million of them would take longer than the statistics; an account that
-- is deleted takes its days with it.
CREATE TABLE daily_stats (
    day date NOT NULL,
    user_id bigint NOT NULL,
    activities integer NOT NULL,
    minutes bigint NOT NULL,
    kilometres double precision NOT NULL,
    calories bigint NOT NULL,
    by_type jsonb NOT NULL,                 -- {"running": [activities, minutes, kilometres]}
    PRIMARY KEY (day, user_id)
);

-- Until which day (exclusive) every day has been computed; later ones are read live.
CREATE TABLE stats_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    computed_until date NOT NULL
);
INSERT INTO stats_progress (computed_until) VALUES ('-infinity');

-- Days whose figures do not hold any more; until they are computed again they are read live.
CREATE TABLE stale_days (
    user_id bigint NOT NULL,
    day date NOT NULL,
    PRIMARY KEY (user_id, day)
);

-- A day of everybody, user by user.
CREATE INDEX activities_day ON activities (((activity_date AT TIME ZONE 'UTC')::date), user_id)
    WHERE deleted_at IS NULL;

-- A change of a day that was or is about to be computed marks it, in the transaction that makes the
-- change. (An hour before midnight today counts as well: the change may be committed after the
-- night's statistics were computed.) The row is locked even if it is there, so whoever computes the
-- day waits for changes that are not committed yet.
CREATE FUNCTION mark_stale(_user_id bigint, _day date) RETURNS void LANGUAGE sql AS $$
    INSERT INTO stale_days (user_id, day) VALUES (_user_id, _day)
    ON CONFLICT (user_id, day) DO UPDATE SET day = excluded.day
$$;

CREATE FUNCTION is_past(_at timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT (_at AT TIME ZONE 'UTC')::date
         < ((clock_timestamp() + interval '1 hour') AT TIME ZONE 'UTC')::date
$$;

CREATE FUNCTION on_activities_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM new_rows WHERE is_past(activity_date)) THEN  -- most are of today
        PERFORM mark_stale(user_id, day) FROM (
            SELECT DISTINCT user_id, (activity_date AT TIME ZONE 'UTC')::date AS day
            FROM new_rows WHERE is_past(activity_date)
            ORDER BY 1, 2  -- in one order, or two imports could wait for each other
        ) AS days;
    END IF;
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_activities_inserted AFTER INSERT ON activities
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION on_activities_inserted();

CREATE FUNCTION on_activities_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mark_stale(user_id, day) FROM (
        SELECT DISTINCT user_id, (activity_date AT TIME ZONE 'UTC')::date AS day
        FROM (SELECT user_id, activity_date FROM new_rows
              UNION ALL SELECT user_id, activity_date FROM old_rows) AS both_sides
        WHERE is_past(activity_date) ORDER BY 1, 2
    ) AS days;
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_activities_updated AFTER UPDATE ON activities
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION on_activities_updated();

-- Monthly reports that are there.
CREATE TABLE reports (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    month date NOT NULL,                    -- its first day
    object_key text NOT NULL,
    size bigint NOT NULL,                   -- bytes
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, month)
);

-- The sweeper of orphaned objects asks for keys.
CREATE INDEX exports_object ON exports (object_key);
CREATE INDEX photos_object ON photos (object_key);
CREATE INDEX imports_object ON imports (object_key);
CREATE INDEX reports_object ON reports (object_key);

-- An account that is to be deleted, and from when on.
ALTER TABLE users ADD COLUMN delete_after timestamptz;
CREATE INDEX users_delete_after ON users (delete_after) WHERE delete_after IS NOT NULL;

-- A ticket for work that starts later.
CREATE FUNCTION open_ticket_later(
    _id uuid, _user_id bigint, _kind text, _task text, _queue text, _args jsonb, _at timestamptz
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO job_tickets (id, user_id, kind, task, queue, message, job_id)
    SELECT _id, _user_id, _kind, _task, _queue, 'Waiting to start',
           unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
               _queue, _task, 0, NULL, NULL, _args, _at)::procrastinate_job_to_defer_v1]))
$$;
