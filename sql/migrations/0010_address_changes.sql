-- Addresses that people want to have; of the links that are mailed there only hashes are here.
CREATE TABLE address_changes (
    id uuid PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    email text COLLATE "C" NOT NULL,
    token_hash text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX address_changes_user ON address_changes (user_id);
CREATE INDEX address_changes_expires ON address_changes (expires_at);

-- Where a mail goes when that is not its person's address: the one that is to be, or that was.
ALTER TABLE mails ADD COLUMN address text COLLATE "C";
