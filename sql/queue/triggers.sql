CREATE OR REPLACE TRIGGER on_jobs_inserted AFTER INSERT ON procrastinate_jobs
    REFERENCING NEW TABLE AS new_jobs FOR EACH STATEMENT EXECUTE FUNCTION on_jobs_inserted();
CREATE OR REPLACE TRIGGER on_jobs_updated AFTER UPDATE ON procrastinate_jobs
    REFERENCING OLD TABLE AS old_jobs NEW TABLE AS new_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION on_jobs_updated();
CREATE OR REPLACE TRIGGER on_jobs_deleted AFTER DELETE ON procrastinate_jobs
    REFERENCING OLD TABLE AS old_jobs FOR EACH STATEMENT EXECUTE FUNCTION on_jobs_deleted();
CREATE OR REPLACE TRIGGER on_jobs_truncated AFTER TRUNCATE ON procrastinate_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION on_jobs_truncated();
CREATE OR REPLACE TRIGGER on_workers_deleted AFTER DELETE ON procrastinate_workers
    REFERENCING OLD TABLE AS old_workers FOR EACH STATEMENT EXECUTE FUNCTION on_workers_deleted();
