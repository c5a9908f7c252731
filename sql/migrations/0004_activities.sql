-- What a person asked for and follows by its id. Whether it waits, runs or failed is the engine's
-- to say (procrastinate_jobs, job_errors); here stands what the engine does not know.
CREATE TABLE job_tickets (
    id uuid PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    kind text NOT NULL,
    job_id bigint,                          -- no foreign key: old jobs go, tickets stay
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
CREATE INDEX exports_user ON exports (user_id, created_at DESC);

CREATE TABLE imports (
    id uuid PRIMARY KEY REFERENCES job_tickets ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    object_key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
