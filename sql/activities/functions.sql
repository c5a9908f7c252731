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

-- Of a person: of a time (_start, _until), of days of the places where they happened (_first_day,
-- _until_day), of a type, with a tag; NULL: any. Days need the bounds of the time as well, for the index: a
-- day more on each side, since no clock is further ahead or behind. (Postgres puts it into the statement
-- that asks, like a view.)
CREATE OR REPLACE FUNCTION selected_activities(
    _user_id bigint, _start timestamptz, _until timestamptz, _first_day date, _until_day date, _type text, _tag text
) RETURNS SETOF activities LANGUAGE sql STABLE AS $$
    SELECT * FROM activities
    WHERE user_id = _user_id AND deleted_at IS NULL
      AND (_start IS NULL OR activity_date >= _start) AND (_until IS NULL OR activity_date < _until)
      AND (_first_day IS NULL OR local_time >= _first_day) AND (_until_day IS NULL OR local_time < _until_day)
      AND (_type IS NULL OR activity_type = _type) AND (_tag IS NULL OR tags @> ARRAY[_tag])
$$;
