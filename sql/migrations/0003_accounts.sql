-- An account counts from its verification on. Registering always makes a new row, also for an
-- address that is taken, so nobody can tell the two apart; only one row of an address can ever
-- be verified, by the link that went to that address.
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    name text NOT NULL,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    verified_at timestamptz
);
CREATE UNIQUE INDEX users_verified_email ON users (lower(email)) WHERE verified_at IS NOT NULL;
CREATE INDEX users_unverified ON users (created_at) WHERE verified_at IS NULL;

CREATE TABLE verifications (
    id uuid PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    token_hash text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX verifications_user ON verifications (user_id);

-- The mails of a user, one for each occasion: writing a mail twice sends it once.
CREATE TABLE mails (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    occasion text NOT NULL,
    message_id text NOT NULL,
    state text NOT NULL DEFAULT 'queued' 
        CHECK (state IN ('queued', 'sending', 'sent', 'skipped', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    answer text,                            -- the relay's last words
    size integer,                           -- bytes
    created_at timestamptz NOT NULL DEFAULT now(),
    claimed_at timestamptz,
    finished_at timestamptz,
    UNIQUE (user_id, kind, occasion)
);

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
