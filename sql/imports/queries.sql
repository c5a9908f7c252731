-- name: request
-- The import, its ticket and its job, in one round trip. No row when too many wait in its group.
WITH ticket AS (
    SELECT open_ticket(%(id)s, %(user_id)s, %(kind)s, %(task)s, %(queue)s,
                       %(group)s, %(limit)s, %(most_waiting)s, %(request_id)s) AS is_open
)
INSERT INTO imports (id, user_id, object_key, dry_run)
SELECT %(id)s, %(user_id)s, %(object_key)s, %(dry_run)s FROM ticket WHERE is_open

-- name: get
SELECT object_key, dry_run FROM imports WHERE id = %(id)s

-- name: make_incoming
CREATE TEMPORARY TABLE incoming (
    place bigint GENERATED ALWAYS AS IDENTITY, activity_type text, duration_minutes integer,
    distance_km double precision, activity_date timestamptz, tags text[], notes text,
    calories integer
) ON COMMIT DROP

-- name: copy_in
COPY incoming (activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories)
FROM STDIN

-- name: analyze_incoming
ANALYZE incoming

-- name: drop_duplicates
DELETE FROM incoming i USING activities a
WHERE a.user_id = %(user_id)s AND a.deleted_at IS NULL AND a.activity_date = i.activity_date
  AND a.activity_type = i.activity_type AND a.duration_minutes = i.duration_minutes

-- name: drop_repeated
DELETE FROM incoming i USING incoming first
WHERE first.place < i.place AND first.activity_date = i.activity_date
  AND first.activity_type = i.activity_type AND first.duration_minutes = i.duration_minutes

-- name: take_in
INSERT INTO activities (user_id, activity_type, duration_minutes, distance_km, activity_date, tags,
                        notes, calories)
SELECT %(user_id)s, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories
FROM incoming ORDER BY place
