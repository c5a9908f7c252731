-- name: request
-- The import, its ticket and its job, in one round trip. No row when too many wait in its group.
WITH ticket AS (
    SELECT open_ticket(%(id)s, %(user_id)s, %(kind)s, %(task)s, %(queue)s,
                       %(group)s, %(limit)s, %(most_waiting)s, %(origin)s) AS is_open
)
INSERT INTO imports (id, user_id, object_key, dry_run, choices)
SELECT %(id)s, %(user_id)s, %(object_key)s, %(dry_run)s, %(choices)s FROM ticket WHERE is_open

-- name: get
SELECT object_key, dry_run, choices FROM imports WHERE id = %(id)s

-- name: make_incoming
CREATE TEMPORARY TABLE incoming (
    place bigint GENERATED ALWAYS AS IDENTITY, line bigint, activity_type text, duration_minutes integer,
    distance_km double precision, activity_date timestamptz, tags text[], notes text,
    calories integer, title text, moving_minutes integer, utc_offset smallint, source text,
    activity_id bigint,
    says_day_alone boolean GENERATED ALWAYS AS (
        (activity_date AT TIME ZONE 'UTC' + make_interval(mins => coalesce(utc_offset, 0)))::time = '00:00'
    ) STORED
) ON COMMIT DROP

-- name: make_lookalikes
CREATE TEMPORARY TABLE lookalikes (line bigint, activity_id bigint, activity_date timestamptz) ON COMMIT DROP

-- name: copy_in
COPY incoming (line, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories,
               title, moving_minutes, utc_offset, source) FROM STDIN

-- name: analyze_incoming
ANALYZE incoming

-- name: correct
-- What came in before, from a file of the same kind, in the other unit or without a type: now that its
-- owner says what it is (%(has_units)s, %(has_type)s), that is mended, and the row does not come in again.
WITH matched AS MATERIALIZED (
    SELECT a.id, i.place, i.activity_type, i.distance_km,
           a.activity_type = i.activity_type AND abs(a.distance_km - i.distance_km) <= 0.001 AS is_same
    FROM incoming i JOIN activities a ON a.user_id = %(user_id)s AND a.deleted_at IS NULL
     AND a.activity_date = i.activity_date AND a.duration_minutes = i.duration_minutes
     AND a.source = i.source
     AND (a.activity_type = i.activity_type OR %(has_type)s AND a.activity_type = 'workout')
     AND (abs(a.distance_km - i.distance_km) <= 0.001 OR %(has_units)s
          AND (abs(a.distance_km * 1.609344 - i.distance_km) <= 0.002
               OR abs(a.distance_km - i.distance_km * 1.609344) <= 0.002))
     AND (NOT i.says_day_alone OR a.title = i.title AND a.notes = i.notes
          AND a.calories IS NOT DISTINCT FROM i.calories)
),
mendable AS MATERIALIZED (
    SELECT DISTINCT ON (id) * FROM matched
    WHERE NOT is_same AND id NOT IN (SELECT id FROM matched WHERE is_same)
      AND place NOT IN (SELECT place FROM matched WHERE is_same)
      -- The same file again, and not another one with a row like it.
      AND 2 * (SELECT count(DISTINCT place) FROM matched) >= (SELECT count(*) FROM incoming)
    ORDER BY id, place
),
mended AS (
    UPDATE activities a SET activity_type = m.activity_type, distance_km = m.distance_km, updated_at = now()
    FROM mendable m WHERE a.id = m.id AND NOT %(dry_run)s
)
DELETE FROM incoming i USING mendable m WHERE i.place = m.place

-- name: drop_duplicates
-- Where a row says a day alone, not of another distance: there may be two runs of thirty minutes on one.
DELETE FROM incoming i USING activities a
WHERE a.user_id = %(user_id)s AND a.deleted_at IS NULL AND a.activity_date = i.activity_date
  AND a.activity_type = i.activity_type AND a.duration_minutes = i.duration_minutes
  AND (NOT i.says_day_alone
       OR abs(a.distance_km - i.distance_km) <= greatest(0.05, 0.03 * i.distance_km))

-- name: drop_moved
-- What is there at the same time by its clocks: its file was read in another time zone before.
DELETE FROM incoming i USING activities a
WHERE a.user_id = %(user_id)s AND a.deleted_at IS NULL AND a.activity_date <> i.activity_date
  AND a.local_time = i.activity_date AT TIME ZONE 'UTC' + make_interval(mins => i.utc_offset)
  AND a.activity_type = i.activity_type AND a.duration_minutes = i.duration_minutes
  AND abs(a.distance_km - i.distance_km) <= 0.001
  AND a.source = i.source

-- name: drop_repeated
-- What is at the same time as a row before it; where a row says a day alone, what says the same.
WITH repeated AS (
    DELETE FROM incoming i USING incoming first
    WHERE first.place < i.place AND first.activity_date = i.activity_date
      AND first.activity_type = i.activity_type AND first.duration_minutes = i.duration_minutes
      AND (NOT i.says_day_alone
           OR abs(first.distance_km - i.distance_km) <= greatest(0.05, 0.03 * i.distance_km)
              AND first.calories IS NOT DISTINCT FROM i.calories
              AND first.title = i.title AND first.notes = i.notes)
    RETURNING i.line
)
SELECT DISTINCT line FROM repeated ORDER BY line

-- name: find_similar
-- What the user may have from another tracker: as long and as far, started within a minute of it, or
-- a whole number of hours off, since trackers disagree on zones.
INSERT INTO lookalikes (line, activity_id, activity_date)
SELECT i.line, a.id AS activity_id, a.activity_date
FROM incoming i JOIN activities a
  ON a.user_id = %(user_id)s AND a.deleted_at IS NULL
 AND a.activity_date BETWEEN i.activity_date - interval '14 hours 1 minute'
                         AND i.activity_date + interval '14 hours 1 minute'
 AND abs(a.duration_minutes - i.duration_minutes) <= greatest(2, 0.05 * i.duration_minutes)
 AND abs(a.distance_km - i.distance_km) <= greatest(0.05, 0.03 * i.distance_km)
WHERE (extract(epoch FROM a.activity_date - i.activity_date)::bigint + 15 * 3600 + 60) %% 3600 <= 120

-- name: similar
SELECT line, activity_id, activity_date FROM lookalikes ORDER BY line, activity_id LIMIT %(most)s

-- name: drop_similar
DELETE FROM incoming WHERE line IN (SELECT line FROM lookalikes)

-- name: number
-- Those that get photos get their ids before.
UPDATE incoming SET activity_id = nextval(pg_get_serial_sequence('activities', 'id'))
WHERE line = ANY (%(lines)s) RETURNING line, activity_id

-- name: take_in
INSERT INTO activities (id, user_id, activity_type, duration_minutes, distance_km, activity_date, tags,
                        notes, calories, title, moving_minutes, source, utc_offset)
OVERRIDING SYSTEM VALUE
SELECT coalesce(activity_id, nextval(pg_get_serial_sequence('activities', 'id'))), %(user_id)s,
       activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories, title,
       moving_minutes,
       source, coalesce(utc_offset, utc_offset_in(u.zone, activity_date))
FROM (SELECT * FROM incoming ORDER BY place) AS in_order JOIN users u ON u.id = %(user_id)s

-- name: remember_columns
-- The fifty of a person that were said last.
WITH said AS (
    INSERT INTO import_columns (user_id, header, columns) VALUES (%(user_id)s, %(header)s, %(columns)s)
    ON CONFLICT (user_id, header) DO UPDATE SET columns = excluded.columns, said_at = now()
)
DELETE FROM import_columns WHERE user_id = %(user_id)s AND header <> %(header)s AND said_at < (
    SELECT said_at FROM import_columns WHERE user_id = %(user_id)s AND header <> %(header)s
    ORDER BY said_at DESC OFFSET 48 LIMIT 1)

-- name: known_columns
SELECT columns FROM import_columns WHERE user_id = %(user_id)s AND header = %(header)s
