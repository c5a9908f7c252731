CREATE OR REPLACE TRIGGER on_export_ended AFTER UPDATE OF completed_at, cancelled_at ON job_tickets FOR EACH ROW
    WHEN (OLD.completed_at IS NULL AND OLD.cancelled_at IS NULL
          AND coalesce(NEW.completed_at, NEW.cancelled_at) IS NOT NULL)
    EXECUTE FUNCTION on_export_ended();
CREATE OR REPLACE TRIGGER on_ticket_changed AFTER UPDATE ON job_tickets FOR EACH ROW
    WHEN ((OLD.progress, OLD.message, OLD.started_at, OLD.completed_at, OLD.cancelled_at)
          IS DISTINCT FROM
          (NEW.progress, NEW.message, NEW.started_at, NEW.completed_at, NEW.cancelled_at))
    EXECUTE FUNCTION on_ticket_changed();
CREATE OR REPLACE TRIGGER on_tickets_deleted AFTER DELETE ON job_tickets
    REFERENCING OLD TABLE AS old_tickets FOR EACH STATEMENT EXECUTE FUNCTION on_tickets_deleted();
