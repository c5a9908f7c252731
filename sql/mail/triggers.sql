CREATE OR REPLACE TRIGGER on_mail_ended AFTER INSERT OR UPDATE OF state ON mails FOR EACH ROW
    WHEN (NEW.state IN ('sent', 'skipped', 'suppressed', 'failed')) EXECUTE FUNCTION on_mail_ended();
