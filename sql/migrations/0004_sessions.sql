-- Who is signed in, and from where. A token says its person and when it was given.
CREATE TABLE sessions (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    started_at timestamptz NOT NULL,
    host text NOT NULL,                     -- from where: an address, of IPv6 its first half
    agent text NOT NULL,                    -- what the browser or program says it is
    PRIMARY KEY (user_id, started_at)
);
CREATE INDEX sessions_started ON sessions (started_at);

-- Which ended before their time: every API process asks for the new ones each second. Appended, and
-- kept when the account goes.
CREATE TABLE session_endings (
    user_id bigint NOT NULL,
    started_at timestamptz,                 -- of the session; NULL: all that had begun by then
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX session_endings_at ON session_endings (at);
CREATE INDEX session_endings_user ON session_endings (user_id);
INSERT INTO session_endings (user_id, at)
SELECT id, password_changed_at FROM users WHERE password_changed_at > now() - interval '12 hours';
ALTER TABLE users DROP COLUMN password_changed_at;

-- A forgotten password is looked for by a job: its request has an address, its link a person.
ALTER TABLE password_resets ALTER COLUMN user_id DROP NOT NULL, ADD COLUMN email text;
