CREATE OR REPLACE TRIGGER on_friends_mail_failed AFTER UPDATE OF state ON mails FOR EACH ROW
    WHEN (NEW.state = 'failed' AND NEW.kind IN ('friend_request', 'friend_activity'))
    EXECUTE FUNCTION on_friends_mail_failed();
CREATE OR REPLACE TRIGGER on_friendships_inserted AFTER INSERT ON friendships
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION on_friendships_changed();
CREATE OR REPLACE TRIGGER on_friendships_deleted AFTER DELETE ON friendships
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION on_friendships_changed();
