-- Who is signed in. A token says its person and when it was given; a row is what it was given to.
CREATE TABLE sessions (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,                   -- its owner signed out
    host text NOT NULL,                     -- from where: an address, of IPv6 its first half
    agent text NOT NULL,                    -- what the browser or program says it is
    PRIMARY KEY (user_id, started_at)
);
CREATE INDEX sessions_started ON sessions (started_at);
COMMENT ON COLUMN users.password_changed_at IS 'sessions from before it are over';
DROP INDEX users_password_changed;
-- A forgotten password is looked for by a job: its request has an address, its link a person.
ALTER TABLE password_resets ALTER COLUMN user_id DROP NOT NULL, ADD COLUMN email text;
