-- Adds to how many want to hear of somebody's activities. (An account that is gone has no activities.)
CREATE OR REPLACE FUNCTION follow_activities(_user_id bigint, _more integer) RETURNS void LANGUAGE sql AS $$
    INSERT INTO activity_followers AS f (user_id, count)
    SELECT id, _more FROM users WHERE id = _user_id
    ON CONFLICT (user_id) DO UPDATE SET count = f.count + excluded.count
$$;
