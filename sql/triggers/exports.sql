CREATE OR REPLACE TRIGGER on_export_requested AFTER INSERT ON exports
    FOR EACH ROW EXECUTE FUNCTION on_export_requested();
CREATE OR REPLACE TRIGGER on_export_removed AFTER UPDATE OF removed_at ON exports FOR EACH ROW
    WHEN (OLD.removed_at IS NULL AND NEW.removed_at IS NOT NULL) EXECUTE FUNCTION on_export_removed();
