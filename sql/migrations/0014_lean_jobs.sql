-- A job is written three times in its life, and each version goes into every index that takes it.
-- Two of the engine's and ours served nobody else than what a smaller one serves as well; ten index
-- entries a job become six.

-- Which queues have work is found in the indexes of what waits.
DROP INDEX procrastinate_jobs_queue_name_idx_v1;

-- What runs, by worker: for claiming, finishing and rescuing, and short whatever the history.
CREATE INDEX job_running ON procrastinate_jobs (worker_id, id) WHERE status = 'doing';
DROP INDEX job_list;
CREATE INDEX job_list ON procrastinate_jobs (status, id DESC)
    WHERE status IN ('failed', 'aborted', 'cancelled');

-- The engine's foreign key looked the worker up for each claimed job, and needed an index of
-- finished jobs to let a worker go (sql/functions/queue.sql does what it did).
ALTER TABLE procrastinate_jobs DROP CONSTRAINT procrastinate_jobs_worker_id_fkey;
DROP INDEX job_worker;

-- Jobs with a lock that may start, and those that wait for their time: 50,000 of these, each with a
-- lock of its own, stood in the way of every claim.
DROP INDEX job_lock_line;
CREATE INDEX job_lock_line ON procrastinate_jobs (queue_name, lock, (-priority), id)
    WHERE status = 'todo' AND lock IS NOT NULL AND scheduled_at IS NULL;
CREATE INDEX job_lock_due ON procrastinate_jobs (queue_name, scheduled_at, id)
    WHERE status = 'todo' AND lock IS NOT NULL AND scheduled_at IS NOT NULL;

-- Workers of ours, who beat every second (a stock one beats every ten), and what people ask of them.
CREATE TABLE our_workers (
    worker_id bigint PRIMARY KEY REFERENCES procrastinate_workers ON DELETE CASCADE,
    host text,
    pid integer,
    slots integer,
    queues text[],                          -- NULL: all
    tasks text[],                           -- that it knows
    started_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO our_workers (worker_id) SELECT id FROM procrastinate_workers;

-- What else a schedule's job has, for running it by hand.
ALTER TABLE schedule_ticks ADD COLUMN lock text;
