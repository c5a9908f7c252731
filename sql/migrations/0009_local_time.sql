-- Each person has a time zone, and each activity the clock of the place where it happened: days, weeks
-- and months of people go by that clock.
ALTER TABLE users ADD COLUMN zone text NOT NULL DEFAULT 'UTC';
ALTER TABLE activities
    ADD COLUMN utc_offset smallint NOT NULL DEFAULT 0       -- minutes by which that clock is ahead of UTC
        CHECK (utc_offset BETWEEN -1440 AND 1440),
    ADD COLUMN local_time timestamp GENERATED ALWAYS AS
        ((activity_date AT TIME ZONE 'UTC') + utc_offset * interval '1 minute') STORED,
    ADD COLUMN title text NOT NULL DEFAULT '',
    ADD COLUMN moving_minutes integer CHECK (moving_minutes BETWEEN 0 AND 100000),
    ADD COLUMN source text NOT NULL DEFAULT '';             -- the kind of file that it came from
DROP INDEX activities_day;
CREATE INDEX activities_day ON activities ((local_time::date), user_id) WHERE deleted_at IS NULL;
DROP FUNCTION IF EXISTS is_past_day(timestamptz, timestamptz);
