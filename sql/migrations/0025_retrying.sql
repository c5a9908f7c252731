-- How many jobs are to run again, and which: few of those that wait.
CREATE INDEX job_retrying ON procrastinate_jobs (id DESC) WHERE status = 'todo' AND attempts > 0;
