-- Domains whose mail servers said that too much comes at once: from then on their mails leave one by
-- one, so many seconds apart, and faster again with each that is taken.
CREATE TABLE mail_domains (
    domain text COLLATE "C" PRIMARY KEY,
    seconds double precision NOT NULL,      -- between two mails
    next_at timestamptz NOT NULL,
    answer text NOT NULL,                   -- that slowed it last
    slowed_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE mails ADD COLUMN domain_turn_at timestamptz;
