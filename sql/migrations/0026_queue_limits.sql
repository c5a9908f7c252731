-- How many jobs of a queue may run at once, in all workers together. Most queues have no limit.
CREATE TABLE queue_limits (
    queue_name text PRIMARY KEY,
    running integer NOT NULL CHECK (running > 0),
    at timestamptz NOT NULL DEFAULT now()
);
