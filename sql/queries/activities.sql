-- name: create
-- Each with the job that tells friends of it, in one round trip, in the order in which they come.
WITH wanted AS (
    SELECT * FROM ROWS FROM (jsonb_to_recordset(%(activities)s) AS (
        user_id bigint, activity_type text, duration_minutes integer, distance_km double precision,
        activity_date timestamptz, tags text[], notes text, calories integer, request_id text
    )) WITH ORDINALITY AS w (user_id, activity_type, duration_minutes, distance_km, activity_date,
                             tags, notes, calories, request_id, at)
),
created AS (
    INSERT INTO activities
        (user_id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories)
    SELECT user_id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories
    FROM wanted ORDER BY at
    RETURNING id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories,
              created_at, updated_at
),
told AS (
    SELECT procrastinate_defer_jobs_v1(array_agg(ROW(
        'default', 'activelog.activities.notify', 0, NULL, NULL,
        jsonb_strip_nulls(jsonb_build_object('activity_id', id, 'request_id', request_id)), NULL
    )::procrastinate_job_to_defer_v1 ORDER BY id)) AS jobs
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS at FROM created) AS numbered
    JOIN wanted USING (at)
)
SELECT created.* FROM created, told WHERE told.jobs IS NOT NULL ORDER BY id

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
-- The import, its ticket and its job, in one round trip. No row when the line is full.
WITH ticket AS (
    SELECT open_ticket(%(id)s, %(user_id)s, %(kind)s, %(task)s, %(queue)s,
                       %(line)s, %(line_slots)s, %(waiting)s, %(request_id)s) AS is_open
)
INSERT INTO imports (id, user_id, object_key, dry_run)
SELECT %(id)s, %(user_id)s, %(object_key)s, %(dry_run)s FROM ticket WHERE is_open

-- name: get_import
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

-- name: owner
SELECT id FROM users WHERE lower(email) = lower(%(email)s) AND verified_at IS NOT NULL

-- name: add_photo
-- No row when the activity is not there any more.
INSERT INTO photos (id, user_id, activity_id, object_key, width, height, size)
SELECT %(id)s, user_id, id, %(object_key)s, %(width)s, %(height)s, %(size)s FROM activities
WHERE id = %(activity_id)s AND user_id = %(user_id)s AND deleted_at IS NULL
RETURNING id, width, height, size, created_at

-- name: photos
SELECT id, width, height, size, created_at FROM photos
WHERE activity_id = %(activity_id)s AND user_id = %(user_id)s ORDER BY created_at, id

-- name: photo_key
SELECT p.object_key FROM photos p JOIN activities a ON a.id = p.activity_id
WHERE p.id = %(id)s AND p.user_id = %(user_id)s AND a.deleted_at IS NULL

-- name: delete_photo
DELETE FROM photos WHERE id = %(id)s AND user_id = %(user_id)s
