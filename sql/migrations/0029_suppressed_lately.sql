-- The page lists the newest first, and those of the last hour are lifted when the relay refuses most mails.
CREATE INDEX suppressed_addresses_created_at ON suppressed_addresses (created_at);
