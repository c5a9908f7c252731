CREATE OR REPLACE TRIGGER count_deleted_jobs AFTER DELETE ON procrastinate_jobs
    REFERENCING OLD TABLE AS old_jobs FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_jobs();
CREATE OR REPLACE TRIGGER note_failures AFTER INSERT ON job_errors
    REFERENCING NEW TABLE AS new_errors FOR EACH STATEMENT EXECUTE FUNCTION note_failures();
CREATE OR REPLACE TRIGGER on_our_worker_came AFTER INSERT ON our_workers FOR EACH ROW
    EXECUTE FUNCTION on_our_worker_came();
CREATE OR REPLACE TRIGGER on_worker_went AFTER DELETE ON procrastinate_workers FOR EACH ROW
    EXECUTE FUNCTION on_worker_went();
