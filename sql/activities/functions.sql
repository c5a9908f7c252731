-- Adds to how many want to hear of somebody's activities. (An account that is gone has no activities.)
CREATE OR REPLACE FUNCTION follow_activities(_user_id bigint, _more integer) RETURNS void LANGUAGE sql AS $$
    INSERT INTO activity_followers AS f (user_id, count)
    SELECT id, _more FROM users WHERE id = _user_id
    ON CONFLICT (user_id) DO UPDATE SET count = f.count + excluded.count
$$;

-- Minutes by which the clocks of a zone are ahead of UTC at a moment.
CREATE OR REPLACE FUNCTION utc_offset_in(_zone text, _at timestamptz) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT (extract(epoch FROM (_at AT TIME ZONE _zone) - (_at AT TIME ZONE 'UTC')) / 60)::smallint
$$;
