-- Days whose figures do not hold any more.

-- A change of a day that was or is about to be computed marks it, in the transaction that makes the
-- change. (An hour before midnight today counts as well: the change may be committed after the
-- night's statistics were computed.) The row is locked even if it is there, so whoever computes the
-- day waits for changes that are not committed yet.
CREATE OR REPLACE FUNCTION mark_stale(_user_id bigint, _day date) RETURNS void LANGUAGE sql AS $$
    INSERT INTO stale_days (user_id, day) VALUES (_user_id, _day)
    ON CONFLICT (user_id, day) DO UPDATE SET day = excluded.day
$$;

CREATE OR REPLACE FUNCTION is_past_day(_day date, _now timestamptz)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT _day < ((_now + interval '1 hour') AT TIME ZONE 'UTC')::date
$$;

CREATE OR REPLACE FUNCTION on_activities_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM new_rows WHERE is_past_day(local_time::date, clock_timestamp())) THEN  -- most are of today
        PERFORM mark_stale(user_id, day) FROM (
            SELECT DISTINCT user_id, local_time::date AS day
            FROM new_rows WHERE is_past_day(local_time::date, clock_timestamp())
            ORDER BY 1, 2  -- in one order, or two imports could deadlock
        ) AS days;
    END IF;
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION on_activities_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mark_stale(user_id, day) FROM (
        SELECT DISTINCT user_id, local_time::date AS day
        FROM (SELECT user_id, local_time FROM new_rows
              UNION ALL SELECT user_id, local_time FROM old_rows) AS both_sides
        WHERE is_past_day(local_time::date, clock_timestamp()) ORDER BY 1, 2
    ) AS days;
    RETURN NULL;
END;
$$;
