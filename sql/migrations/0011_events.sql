-- Events are written by the triggers of their jobs and by nobody else, so each of three a job need
-- not look its job up once more; what a foreign key did when jobs go is done for all at once.
ALTER TABLE procrastinate_events DROP CONSTRAINT procrastinate_events_job_id_fkey;

CREATE FUNCTION on_jobs_deleted() RETURNS trigger LANGUAGE plpgsql
-- A handful of jobs or a page of the clean-up: by the index of events in either case.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
BEGIN
    DELETE FROM procrastinate_events e USING old_jobs o WHERE e.job_id = o.id;
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_jobs_deleted AFTER DELETE ON procrastinate_jobs
    REFERENCING OLD TABLE AS old_jobs FOR EACH STATEMENT EXECUTE FUNCTION on_jobs_deleted();

CREATE FUNCTION on_jobs_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE procrastinate_events;
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_jobs_truncated AFTER TRUNCATE ON procrastinate_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION on_jobs_truncated();
