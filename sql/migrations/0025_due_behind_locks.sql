-- From lock to lock among the jobs that wait for their time: ten thousand retries behind one lock
-- stood in the way of every claim.
CREATE INDEX job_lock_due_line ON procrastinate_jobs (queue_name, lock, scheduled_at, id)
    WHERE status = 'todo' AND lock IS NOT NULL AND scheduled_at IS NOT NULL;
