-- Under a rate limit each lane has turns of its own, `all` is what was sent; a mail keeps its turn.
DROP TABLE mail_pace;
CREATE TABLE mail_pace (
    lane text PRIMARY KEY,
    share double precision NOT NULL,        -- of the rate, while others wait, too
    next_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO mail_pace (lane, share) VALUES ('all', 1), ('critical', 0.5), ('default', 0.3), ('low', 0.2);
ALTER TABLE mails ADD COLUMN turn_at timestamptz;

-- An address is not given up for ever.
ALTER TABLE suppressed_addresses ADD COLUMN until timestamptz NOT NULL DEFAULT now() + interval '30 days';
CREATE INDEX suppressed_addresses_until ON suppressed_addresses (until);
