-- What a mail was to tell and did not, the next one tells.
CREATE OR REPLACE FUNCTION on_friends_mail_failed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE friend_requests SET mail_id = NULL WHERE mail_id = NEW.id;
    UPDATE notifications SET mail_id = NULL WHERE mail_id = NEW.id;
    RETURN NULL;
END;
$$;

-- A person's friends want to hear of their activities: so many more, or fewer (_sign -1).
CREATE OR REPLACE FUNCTION on_friendships_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    _sign integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    PERFORM follow_activities(user_id, _sign * friends) FROM (
        SELECT user_id, count(*)::integer AS friends FROM changed
        GROUP BY user_id ORDER BY user_id  -- in one order, or two could deadlock
    ) AS people;
    RETURN NULL;
END;
$$;
