-- How runs ended, by minute, for charts of the last hour. One worker adds them up with job_counts.
CREATE TABLE minute_counts (
    minute timestamptz NOT NULL,
    event text NOT NULL,                    -- as in job_counts
    count bigint NOT NULL,
    seconds double precision NOT NULL,
    waited double precision NOT NULL,
    seconds_buckets bigint[] NOT NULL,
    waited_buckets bigint[] NOT NULL,
    PRIMARY KEY (minute, event)
);
