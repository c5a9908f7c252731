-- How many tickets of each concurrency group of a kind ("exports of 17") run at once, where an admin said so.
CREATE TABLE group_limits (
    work text PRIMARY KEY,  -- what stands before " of "
    running integer NOT NULL CHECK (running > 0),
    at timestamptz NOT NULL DEFAULT now()
);
