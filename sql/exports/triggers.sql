CREATE OR REPLACE TRIGGER on_export_requested AFTER INSERT ON exports
    FOR EACH ROW EXECUTE FUNCTION on_export_requested();
CREATE OR REPLACE TRIGGER on_export_removed AFTER UPDATE OF removed_at ON exports FOR EACH ROW
    WHEN (OLD.removed_at IS NULL AND NEW.removed_at IS NOT NULL) EXECUTE FUNCTION on_export_removed();
CREATE OR REPLACE TRIGGER on_export_ended AFTER UPDATE OF completed_at, cancelled_at ON job_tickets FOR EACH ROW
    WHEN (OLD.completed_at IS NULL AND OLD.cancelled_at IS NULL
          AND coalesce(NEW.completed_at, NEW.cancelled_at) IS NOT NULL)
    EXECUTE FUNCTION on_export_ended();
CREATE OR REPLACE TRIGGER on_export_jobs_failed AFTER UPDATE ON procrastinate_jobs
    REFERENCING NEW TABLE AS new_jobs FOR EACH STATEMENT EXECUTE FUNCTION on_export_jobs_failed();
CREATE OR REPLACE TRIGGER on_export_mail_failed AFTER UPDATE OF state ON mails FOR EACH ROW
    WHEN (NEW.state = 'failed' AND NEW.kind = 'export_ready') EXECUTE FUNCTION on_export_mail_failed();
