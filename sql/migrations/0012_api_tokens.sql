-- Tokens for programs, by their names; of the tokens themselves only hashes are here.
CREATE TABLE api_tokens (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    name text NOT NULL,
    scopes text[] NOT NULL,
    token_hash text COLLATE "C" NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (user_id, name)
);
