-- Workers of the last week: when each came and went, and whether it died.
CREATE TABLE worker_history (
    worker_id bigint PRIMARY KEY,
    host text,
    pid integer,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,                       -- NULL: it is there
    died boolean NOT NULL DEFAULT false         -- others removed it, since it was silent
);
CREATE INDEX worker_history_started ON worker_history (started_at DESC);
INSERT INTO worker_history (worker_id, host, pid, started_at)
SELECT worker_id, host, pid, started_at FROM our_workers;
