CREATE OR REPLACE TRIGGER on_ticket_changed AFTER UPDATE ON job_tickets FOR EACH ROW
    WHEN ((OLD.progress, OLD.message, OLD.started_at, OLD.completed_at, OLD.cancelled_at)
          IS DISTINCT FROM
          (NEW.progress, NEW.message, NEW.started_at, NEW.completed_at, NEW.cancelled_at))
    EXECUTE FUNCTION on_ticket_changed();
CREATE OR REPLACE TRIGGER on_tickets_deleted AFTER DELETE ON job_tickets
    REFERENCING OLD TABLE AS old_tickets FOR EACH STATEMENT EXECUTE FUNCTION on_tickets_deleted();
CREATE OR REPLACE TRIGGER on_ticket_jobs_changed AFTER UPDATE ON procrastinate_jobs
    REFERENCING NEW TABLE AS new_jobs FOR EACH STATEMENT EXECUTE FUNCTION on_ticket_jobs_changed();
CREATE OR REPLACE TRIGGER on_ticket_jobs_deleted AFTER DELETE ON procrastinate_jobs
    REFERENCING OLD TABLE AS old_jobs FOR EACH STATEMENT EXECUTE FUNCTION on_ticket_jobs_deleted();
