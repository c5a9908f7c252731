CREATE OR REPLACE TRIGGER on_activities_inserted AFTER INSERT ON activities
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION on_activities_inserted();
CREATE OR REPLACE TRIGGER on_activities_updated AFTER UPDATE ON activities
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION on_activities_updated();
