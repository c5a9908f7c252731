-- Of each queue and minute also how many runs ended, and how long those had waited: job_counts says so
-- by hour only.
ALTER TABLE queue_depths
    ADD COLUMN runs bigint NOT NULL DEFAULT 0,
    ADD COLUMN waited_buckets bigint[] NOT NULL DEFAULT '{}';
