-- A mail is claimed by one job at a time. (Two that asked for it at once both sent it.)
ALTER TABLE mails ADD COLUMN job_id bigint;  -- the one that claimed it last
