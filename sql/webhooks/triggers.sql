CREATE OR REPLACE TRIGGER on_activities_for_webhooks AFTER INSERT ON activities
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION on_activities_for_webhooks();
CREATE OR REPLACE TRIGGER on_export_for_webhooks AFTER UPDATE OF completed_at ON job_tickets FOR EACH ROW
    WHEN (OLD.completed_at IS NULL AND NEW.completed_at IS NOT NULL AND NEW.kind LIKE 'export%')
    EXECUTE FUNCTION on_export_for_webhooks();
CREATE OR REPLACE TRIGGER on_report_for_webhooks AFTER INSERT ON reports FOR EACH ROW
    EXECUTE FUNCTION on_report_for_webhooks();
