CREATE OR REPLACE TRIGGER on_workers_deleted AFTER DELETE ON procrastinate_workers
    REFERENCING OLD TABLE AS old_workers FOR EACH STATEMENT EXECUTE FUNCTION on_workers_deleted();
