-- All tables of ours and their indexes, by the part that owns them. (Functions, triggers and views
-- stand in the folders of their parts, and `activelog migrate` makes them anew.)
-- A database that the 25 migrations before this one made gets from_0025.sql in place of it.

-- queue: what activelog/queue adds beside the engine's tables. Nothing here changes what people's SQL,
-- `procrastinate shell` or a stock worker see.

-- The engine's row triggers become statement triggers (sql/queue/triggers.sql). Events are written by
-- the triggers of their jobs and by nobody else, and a worker's id only by a worker: a foreign key
-- would look up each of them once more.
DROP TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1 ON procrastinate_jobs;
DROP TRIGGER procrastinate_trigger_status_events_insert_v1 ON procrastinate_jobs;
DROP TRIGGER procrastinate_trigger_status_events_update_v1 ON procrastinate_jobs;
DROP TRIGGER procrastinate_trigger_scheduled_events_v1 ON procrastinate_jobs;
ALTER TABLE procrastinate_events DROP CONSTRAINT procrastinate_events_job_id_fkey;
ALTER TABLE procrastinate_jobs DROP CONSTRAINT procrastinate_jobs_worker_id_fkey;
DROP INDEX idx_procrastinate_jobs_worker_not_null;

-- Claiming reads these in place of the engine's one index over all that waits: what may start, what
-- may start when its lock is free, and what waits for its time. So neither 100,000 jobs for tomorrow,
-- nor another queue's backlog, nor 10,000 jobs behind one lock are in its way.
CREATE INDEX job_ready ON procrastinate_jobs (queue_name, (-priority), id)
    WHERE status = 'todo' AND scheduled_at IS NULL AND lock IS NULL;
CREATE INDEX job_locked ON procrastinate_jobs (queue_name, lock, (-priority), id)
    WHERE status = 'todo' AND lock IS NOT NULL AND scheduled_at IS NULL;
CREATE INDEX job_scheduled ON procrastinate_jobs (queue_name, scheduled_at, id)
    WHERE status = 'todo' AND scheduled_at IS NOT NULL;
-- What runs, by worker; and what ended badly, for people.
CREATE INDEX job_running ON procrastinate_jobs (worker_id, id) WHERE status = 'doing';
CREATE INDEX job_list ON procrastinate_jobs (status, id DESC)
    WHERE status IN ('failed', 'aborted', 'cancelled');
-- Our indexes order by -priority, which the lowest number there is does not have.
ALTER TABLE procrastinate_jobs ADD CONSTRAINT priority_has_a_negative CHECK (priority > -2147483648);

-- Under their own names and with the same meaning, but without the jobs that have no lock: most have
-- none, and every one of them was written into all three at every step.
DROP INDEX procrastinate_jobs_queue_name_idx_v1;
DROP INDEX procrastinate_jobs_queueing_lock_idx_v1;
CREATE UNIQUE INDEX procrastinate_jobs_queueing_lock_idx_v1 ON procrastinate_jobs (queueing_lock)
    WHERE status = 'todo' AND queueing_lock IS NOT NULL;
DROP INDEX procrastinate_jobs_lock_idx_v1;
CREATE UNIQUE INDEX procrastinate_jobs_lock_idx_v1 ON procrastinate_jobs (lock)
    WHERE status = 'doing' AND lock IS NOT NULL;
DROP INDEX procrastinate_jobs_id_lock_idx_v1;
CREATE INDEX procrastinate_jobs_id_lock_idx_v1 ON procrastinate_jobs (lock, id)
    WHERE status IN ('todo', 'doing') AND lock IS NOT NULL;

-- Workers of ours, who beat every second (a stock one beats every ten), and what people ask of them.
CREATE TABLE our_workers (
    worker_id bigint PRIMARY KEY REFERENCES procrastinate_workers ON DELETE CASCADE,
    host text,
    pid integer,
    slots integer,
    queues text[],                          -- NULL: all
    tasks text[],                           -- that it knows
    started_at timestamptz NOT NULL DEFAULT now()
);

-- Queues from which workers claim nothing for now.
CREATE TABLE paused_queues (
    queue_name text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);

-- Why a run did not succeed: one row for each such run of a job.
CREATE TABLE job_errors (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES procrastinate_jobs ON DELETE CASCADE,
    attempt integer NOT NULL,               -- 1 for the first run
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL CHECK (kind IN ('error', 'death')),  -- death: its worker was gone
    error text NOT NULL,                    -- class and message, for operators
    public_error text,                      -- what the person who asked for the work may read
    traceback text
);
CREATE INDEX job_errors_job ON job_errors (job_id, at);
CREATE INDEX job_errors_words ON job_errors USING gin (to_tsvector('simple', error));
CREATE INDEX job_errors_recent ON job_errors (at DESC);

-- The last tick that each schedule has turned into a job, and what the workers know of it.
CREATE TABLE schedule_ticks (
    task_name text NOT NULL,
    periodic_id text NOT NULL,
    last_tick bigint NOT NULL,              -- seconds since 1970, UTC
    cron text,
    queue_name text,
    lock text,
    PRIMARY KEY (task_name, periodic_id)
);

-- What scheduled tasks did: a row for each run.
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

-- How runs ended: each worker appends what its runs of the last second were. Nobody updates a row
-- that others write to; one worker adds them up in job_counts every few seconds.
CREATE TABLE job_outcomes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    task_name text NOT NULL,
    queue_name text NOT NULL,
    event text NOT NULL,                    -- succeeded, failed, aborted, retried, handed_back, died
    count bigint NOT NULL,
    seconds double precision NOT NULL DEFAULT 0,        -- of the runs together
    waited double precision NOT NULL DEFAULT 0,         -- from due to start, of the runs together
    seconds_buckets bigint[] NOT NULL DEFAULT '{}',     -- runs up to 10 ms, 100 ms, 1 s, 10 s, 1 min, 10 min, longer
    waited_buckets bigint[] NOT NULL DEFAULT '{}'
);

-- The same added up by hour and, in the hour `infinity`, of all time; and how many jobs were enqueued.
CREATE TABLE job_counts (
    hour timestamptz NOT NULL,
    task_name text NOT NULL,
    queue_name text NOT NULL,
    event text NOT NULL,                    -- as above, or enqueued
    count bigint NOT NULL,
    seconds double precision NOT NULL DEFAULT 0,
    waited double precision NOT NULL DEFAULT 0,
    seconds_buckets bigint[] NOT NULL DEFAULT '{}',
    waited_buckets bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (hour, task_name, queue_name, event)
);

-- Up to which job's id job_counts has counted what was enqueued; and the next such id, which is final
-- when no transaction from before next_xid is under way any more.
CREATE TABLE job_count_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    counted_until bigint NOT NULL DEFAULT 0,
    next_until bigint NOT NULL DEFAULT 0,
    next_xid xid8 NOT NULL DEFAULT '0'
);
INSERT INTO job_count_progress DEFAULT VALUES;

-- How full the queues were: a worker looks every five minutes.
CREATE TABLE queue_depths (
    at timestamptz NOT NULL,
    queue_name text NOT NULL,
    waiting integer NOT NULL,               -- could start then; counted up to 30,000
    oldest_seconds double precision NOT NULL,  -- how long the first in line had waited
    PRIMARY KEY (at, queue_name)
);

-- Which words the jobs of a block have: blocks of a thousand ids, one row each. An index entry for
-- each word of each job would cost more than running the job does; here the jobs of a block share
-- it, workers write it a minute or two later, and a search reads the blocks that have its words.
CREATE TABLE job_words (
    block bigint PRIMARY KEY,               -- the jobs' ids, divided by a thousand
    words text[] NOT NULL                   -- of arguments; tasks and queues, whole
);
CREATE INDEX job_words_words ON job_words USING gin (words);

-- accounts

-- An account counts from its verification on. Registering always makes a new row, also for an
-- address that is taken, so nobody can tell the two apart; only one row of an address can ever
-- be verified, by the link that went to that address.
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    name text NOT NULL,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    verified_at timestamptz,
    delete_after timestamptz,               -- its owner wants it deleted, from then on
    is_admin boolean NOT NULL DEFAULT false,-- may see and steer the jobs of everybody
    password_changed_at timestamptz         -- by a link in a mail: older sessions end
);
CREATE UNIQUE INDEX users_verified_email ON users (lower(email)) WHERE verified_at IS NOT NULL;
CREATE INDEX users_unverified ON users (created_at) WHERE verified_at IS NULL;
CREATE INDEX users_delete_after ON users (delete_after) WHERE delete_after IS NOT NULL;
-- Whose sessions a new password ended lately: every API process asks every few seconds.
CREATE INDEX users_password_changed ON users (password_changed_at)
    WHERE password_changed_at IS NOT NULL;

CREATE TABLE verifications (
    id uuid PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    token_hash text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX verifications_user ON verifications (user_id);

-- Links by which people choose a new password; only their hashes are here.
CREATE TABLE password_resets (
    id uuid PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    token_hash text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX password_resets_user ON password_resets (user_id);
CREATE INDEX password_resets_expires ON password_resets (expires_at);

-- database and http

CREATE TABLE limits (
    key text PRIMARY KEY,
    hits integer NOT NULL,
    window_ends timestamptz NOT NULL
);
CREATE INDEX limits_window_ends ON limits (window_ends);

CREATE TABLE idempotency_keys (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    key text NOT NULL,
    fingerprint text NOT NULL,              -- of path and body
    status integer NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

-- mail

-- The outbox. The mails of a user, one for each deduplication key: writing a mail twice sends it once.
CREATE TABLE mails (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    dedup_key text NOT NULL,
    message_id text NOT NULL,
    state text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'sending', 'sent', 'skipped', 'suppressed', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    answer text,                            -- the relay's last one
    size integer,                           -- bytes
    created_at timestamptz NOT NULL DEFAULT now(),
    claimed_at timestamptz,
    finished_at timestamptz,
    job_id bigint,                          -- the one that claimed it last
    UNIQUE (user_id, kind, dedup_key)
);
-- The cap of a kind is counted here, and open digests are found.
CREATE INDEX mails_recent ON mails (user_id, kind, created_at);
CREATE INDEX mails_waiting ON mails (created_at) WHERE state IN ('queued', 'sending');

-- How many mails of a kind ended how; each writer has a row of its own, so that nobody waits.
CREATE TABLE mail_counts (
    slot integer NOT NULL,
    kind text NOT NULL,
    outcome text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (slot, kind, outcome)
);

-- What a person said about a list of mails; without a row they get it.
CREATE TABLE mail_preferences (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    list text NOT NULL,
    wanted boolean NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, list)
);

-- Addresses that a relay refused for good: nothing is sent there until somebody deletes the row.
CREATE TABLE suppressed_addresses (
    address text PRIMARY KEY,               -- in lower case
    answer text NOT NULL,                   -- what the relay said
    created_at timestamptz NOT NULL DEFAULT now()
);

-- When the next mail may go out, for all workers together. A permit is a time that moves on by
-- itself, so one that a crashed worker took is not missing afterwards.
CREATE TABLE mail_pace (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    next_at timestamptz NOT NULL
);
INSERT INTO mail_pace (next_at) VALUES (now());

-- tickets

-- What a person asked for and follows by its id. Whether it waits, runs or failed is the engine's
-- to say (procrastinate_jobs, job_errors); here stands what the engine does not know.
CREATE TABLE job_tickets (
    id uuid PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    kind text NOT NULL,
    task text NOT NULL,
    queue text NOT NULL,
    concurrency_group text,                 -- its tickets run a few at a time,
    concurrency_limit integer,              -- so many
    job_id bigint,                          -- NULL: waits for its group; no foreign key: old jobs go
    progress smallint NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    message text NOT NULL,
    result jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz,
    cancelled_at timestamptz,
    expires_at timestamptz,
    request_id text                         -- the HTTP call that asked for it
);
CREATE INDEX job_tickets_user ON job_tickets (user_id, created_at DESC, id);
CREATE INDEX job_tickets_pace ON job_tickets (kind, completed_at DESC) WHERE completed_at IS NOT NULL;
CREATE INDEX job_tickets_group ON job_tickets (concurrency_group, created_at)
    WHERE concurrency_group IS NOT NULL AND completed_at IS NULL AND cancelled_at IS NULL;
CREATE INDEX job_tickets_job ON job_tickets (job_id);
CREATE INDEX job_tickets_expires ON job_tickets (expires_at) WHERE expires_at IS NOT NULL;

-- activities

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
CREATE INDEX activities_owner ON activities (user_id, activity_date DESC, id DESC);
CREATE INDEX activities_tags ON activities USING gin (tags) WHERE deleted_at IS NULL;
CREATE INDEX activities_deleted ON activities (deleted_at) WHERE deleted_at IS NOT NULL;
-- A day of everybody, user by user.
CREATE INDEX activities_day ON activities (((activity_date AT TIME ZONE 'UTC')::date), user_id)
    WHERE deleted_at IS NULL;

-- How many want to hear of somebody's activities; whoever wants to adds one, and takes it off again.
CREATE TABLE activity_followers (
    user_id bigint PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    count integer NOT NULL
);

-- Pictures of activities; the objects lie under photos/{user_id}/{id}.jpg, cleaned of what they
-- tell beside the picture.
CREATE TABLE photos (
    id uuid PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    activity_id bigint NOT NULL REFERENCES activities ON DELETE CASCADE,
    object_key text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    size integer NOT NULL,                  -- bytes
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX photos_activity ON photos (activity_id, created_at, id);
CREATE INDEX photos_user ON photos (user_id);
CREATE INDEX photos_object ON photos (object_key);

-- imports

CREATE TABLE imports (
    id uuid PRIMARY KEY REFERENCES job_tickets ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    object_key text NOT NULL,
    dry_run boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX imports_owner ON imports (user_id);
CREATE INDEX imports_object ON imports (object_key);

-- exports

CREATE TABLE exports (
    id uuid PRIMARY KEY REFERENCES job_tickets ON DELETE CASCADE,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    format text NOT NULL CHECK (format IN ('csv', 'pdf', 'zip')),
    filters jsonb NOT NULL,
    object_key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz                  -- when its object was removed
);
CREATE INDEX exports_user ON exports (user_id, created_at DESC, id DESC);
CREATE INDEX exports_object ON exports (object_key);

-- How many exports of a format ended how; each writer has a row of its own, so that nobody waits.
CREATE TABLE export_counts (
    slot integer NOT NULL,
    format text NOT NULL,
    outcome text NOT NULL,                  -- requested, completed, failed, cancelled, expired
    count bigint NOT NULL,
    PRIMARY KEY (slot, format, outcome)
);

-- statistics

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

-- monthly_reports

-- Those that are there.
CREATE TABLE reports (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    month date NOT NULL,                    -- its first day
    object_key text NOT NULL,
    size bigint NOT NULL,                   -- bytes
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, month)
);
CREATE INDEX reports_object ON reports (object_key);

-- friends

CREATE TABLE friend_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    to_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'accepted', 'declined')),
    mail_id bigint,                         -- the mail that told of it
    created_at timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz,
    CHECK (from_id <> to_id)
);
CREATE UNIQUE INDEX friend_requests_once ON friend_requests (from_id, to_id) WHERE state = 'pending';
CREATE INDEX friend_requests_to ON friend_requests (to_id, id) WHERE state = 'pending';
CREATE INDEX friend_requests_mail ON friend_requests (mail_id) WHERE mail_id IS NOT NULL;
CREATE INDEX friend_requests_sender ON friend_requests (from_id);
CREATE INDEX friend_requests_addressee ON friend_requests (to_id);

-- Both directions of a friendship, so that everybody's friends stand together.
CREATE TABLE friendships (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    friend_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, friend_id)
);
CREATE INDEX friendships_friend ON friendships (friend_id);

CREATE TABLE blocks (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    blocked_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, blocked_id)
);
CREATE INDEX blocks_blocked ON blocks (blocked_id);

CREATE TABLE notifications (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('friend_request', 'friend_accepted', 'friend_activity')),
    actor_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    activity_id bigint REFERENCES activities ON DELETE CASCADE,
    request_id bigint REFERENCES friend_requests ON DELETE CASCADE,
    mail_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    read_at timestamptz
);
CREATE INDEX notifications_user ON notifications (user_id, id DESC);
CREATE UNIQUE INDEX notifications_once ON notifications (user_id, activity_id)
    WHERE activity_id IS NOT NULL;
CREATE INDEX notifications_unmailed ON notifications (user_id, id)
    WHERE kind = 'friend_activity' AND mail_id IS NULL;
CREATE INDEX notifications_mail ON notifications (mail_id) WHERE mail_id IS NOT NULL;
CREATE INDEX notifications_actor ON notifications (actor_id);
CREATE INDEX notifications_activity ON notifications (activity_id) WHERE activity_id IS NOT NULL;
CREATE INDEX notifications_request ON notifications (request_id) WHERE request_id IS NOT NULL;

-- operations

-- What admins did.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint,                         -- no foreign key: what was done stays done
    action text NOT NULL,
    subject text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
