-- name: create
INSERT INTO activities
    (user_id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories)
VALUES (%(user_id)s, %(activity_type)s, %(duration_minutes)s, %(distance_km)s, %(activity_date)s,
        %(tags)s, %(notes)s, %(calories)s)
RETURNING id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories,
          created_at, updated_at

-- name: get
SELECT id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories,
       created_at, updated_at
FROM activities WHERE id = %(id)s AND user_id = %(user_id)s AND deleted_at IS NULL

-- name: page
SELECT id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories,
       created_at, updated_at
FROM activities
WHERE user_id = %(user_id)s AND deleted_at IS NULL
  AND (%(start)s::timestamptz IS NULL OR activity_date >= %(start)s)
  AND (%(until)s::timestamptz IS NULL OR activity_date < %(until)s)
  AND (%(type)s::text IS NULL OR activity_type = %(type)s)
  AND (%(tag)s::text IS NULL OR tags @> ARRAY[%(tag)s::text])
  AND (%(before_id)s::bigint IS NULL
       OR (activity_date, id) < (%(before_date)s::timestamptz, %(before_id)s::bigint))
ORDER BY activity_date DESC, id DESC LIMIT %(limit)s

-- name: update
UPDATE activities SET
    activity_type = %(activity_type)s, duration_minutes = %(duration_minutes)s,
    distance_km = %(distance_km)s, activity_date = %(activity_date)s, tags = %(tags)s,
    notes = %(notes)s, calories = %(calories)s, updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND deleted_at IS NULL
RETURNING id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories,
          created_at, updated_at

-- name: delete
UPDATE activities SET deleted_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND deleted_at IS NULL

-- name: lock
-- For a change that keeps some fields: nobody else changes them meanwhile.
SELECT id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories,
       created_at, updated_at
FROM activities WHERE id = %(id)s AND user_id = %(user_id)s AND deleted_at IS NULL FOR UPDATE

-- name: request_import
-- The import, its ticket and its job, in one round trip.
WITH ticket AS (
    SELECT open_ticket(%(id)s, %(user_id)s, %(kind)s, %(task)s, %(queue)s,
                       %(line)s, %(line_slots)s, %(waiting)s) AS is_open
)
INSERT INTO imports (id, user_id, object_key)
SELECT %(id)s, %(user_id)s, %(object_key)s FROM ticket WHERE is_open

-- name: import_key
SELECT object_key FROM imports WHERE id = %(id)s

-- name: copy_in
COPY activities (user_id, activity_type, duration_minutes, distance_km, activity_date, tags, notes,
                 calories) FROM STDIN

-- name: owner
SELECT id FROM users WHERE lower(email) = lower(%(email)s) AND verified_at IS NOT NULL
