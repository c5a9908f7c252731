-- name: create
-- In the order in which they come; in the same round trip the job that tells those who follow its owner.
WITH wanted AS (
    SELECT * FROM ROWS FROM (jsonb_to_recordset(%(activities)s) AS (
        user_id bigint, activity_type text, duration_minutes integer, distance_km double precision,
        activity_date timestamptz, tags text[], notes text, calories integer, title text,
        moving_minutes integer, utc_offset smallint, origin jsonb
    )) WITH ORDINALITY AS w (user_id, activity_type, duration_minutes, distance_km, activity_date,
                             tags, notes, calories, title, moving_minutes, utc_offset, origin, at)
),
created AS (
    INSERT INTO activities
        (user_id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories,
         title, moving_minutes, utc_offset)
    SELECT user_id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories,
           title, moving_minutes,
           coalesce(utc_offset, utc_offset_in((SELECT zone FROM users WHERE id = user_id), activity_date), 0)
    FROM wanted ORDER BY at
    RETURNING activities.id, activity_type, duration_minutes, distance_km, activity_date, tags, notes,
              calories, title, moving_minutes, utc_offset, source, activities.created_at, updated_at
),
notified AS (
    SELECT procrastinate_defer_jobs_v1(array_agg(ROW(
        'default', 'activelog.activities.notify', 0, NULL, NULL,
        coalesce(origin, '{}') || jsonb_build_object('activity_id', id), NULL
    )::procrastinate_job_to_defer_v1 ORDER BY id)) AS jobs
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS at FROM created) AS numbered
    JOIN wanted USING (at)
    JOIN activity_followers f ON f.user_id = wanted.user_id AND f.count > 0
    HAVING count(*) > 0
)
SELECT created.* FROM created LEFT JOIN notified ON true ORDER BY id, notified.jobs IS NULL

-- name: get
SELECT id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories, title,
       moving_minutes, utc_offset, source, created_at, updated_at
FROM activities WHERE id = %(id)s AND user_id = %(user_id)s AND deleted_at IS NULL

-- name: page
SELECT id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories, title,
       moving_minutes, utc_offset, source, created_at, updated_at
FROM selected_activities(
    %(user_id)s, %(start)s, %(until)s, %(first_day)s, %(until_day)s, %(type)s, %(tag)s)
WHERE (%(before_id)s::bigint IS NULL
       OR (activity_date, id) < (%(before_date)s::timestamptz, %(before_id)s::bigint))
ORDER BY activity_date DESC, id DESC LIMIT %(limit)s

-- name: update
UPDATE activities SET
    activity_type = %(activity_type)s, duration_minutes = %(duration_minutes)s,
    distance_km = %(distance_km)s, activity_date = %(activity_date)s, tags = %(tags)s,
    notes = %(notes)s, calories = %(calories)s, title = %(title)s, moving_minutes = %(moving_minutes)s,
    utc_offset = coalesce(
        %(utc_offset)s::smallint, CASE WHEN activity_date = %(activity_date)s THEN utc_offset END,
        (SELECT utc_offset_in(zone, %(activity_date)s) FROM users WHERE users.id = user_id)),
    updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND deleted_at IS NULL
RETURNING id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories, title,
          moving_minutes, utc_offset, source, created_at, updated_at

-- name: delete
UPDATE activities SET deleted_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND deleted_at IS NULL

-- name: lock
-- For a change that keeps some fields: nobody else changes them meanwhile.
SELECT id, activity_type, duration_minutes, distance_km, activity_date, tags, notes, calories, title,
       moving_minutes, utc_offset, source, created_at, updated_at
FROM activities WHERE id = %(id)s AND user_id = %(user_id)s AND deleted_at IS NULL FOR UPDATE

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

-- name: recent_types
-- Of somebody's last five hundred activities, the most frequent first.
SELECT activity_type FROM (
    SELECT activity_type FROM activities WHERE user_id = %(user_id)s AND deleted_at IS NULL
    ORDER BY activity_date DESC, id DESC LIMIT 500) AS recent
GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 30
