-- By which request and trace a ticket was opened: arguments of its job.
ALTER TABLE job_tickets RENAME COLUMN request_id TO origin;
ALTER TABLE job_tickets ALTER COLUMN origin TYPE jsonb
    USING CASE WHEN origin IS NULL THEN '{}' ELSE jsonb_build_object('request_id', origin) END;
ALTER TABLE job_tickets ALTER COLUMN origin SET DEFAULT '{}', ALTER COLUMN origin SET NOT NULL;
DROP FUNCTION IF EXISTS open_ticket(uuid, bigint, text, text, text, text, integer, integer, text);
DROP FUNCTION IF EXISTS defer_ticket(uuid, text, text, text);
