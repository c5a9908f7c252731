-- name: request
-- The export, its ticket and its job, in one round trip. No row when too many wait in its group.
WITH ticket AS (
    SELECT open_ticket(%(id)s, %(user_id)s, %(kind)s, %(task)s, %(queue)s,
                       %(group)s, %(limit)s, %(most_waiting)s, %(origin)s) AS is_open
)
INSERT INTO exports (id, user_id, format, filters, object_key)
SELECT %(id)s, %(user_id)s, %(format)s, %(filters)s, %(object_key)s
FROM ticket WHERE is_open

-- name: get
SELECT id, user_id, format, filters, object_key FROM exports WHERE id = %(id)s

-- name: take_ready
-- Those that are ready to download and that no other mail tells of, and those that this one took before:
-- the last twenty, and how many there are.
WITH taken AS (
    UPDATE exports e SET mail_id = %(mail_id)s FROM job_tickets t
    WHERE e.user_id = %(user_id)s AND (e.mail_id IS NULL OR e.mail_id = %(mail_id)s)
      AND t.id = e.id AND t.completed_at IS NOT NULL AND t.expires_at > now() AND e.removed_at IS NULL
    RETURNING e.id, e.format, t.completed_at
)
SELECT id, format, count(*) OVER () AS total FROM taken ORDER BY completed_at DESC, id LIMIT 20

-- name: page
SELECT id, user_id, format, filters, object_key, created_at FROM exports
WHERE user_id = %(user_id)s
  AND (%(before_id)s::uuid IS NULL
       OR (created_at, id) < (%(before)s::timestamptz, %(before_id)s::uuid))
ORDER BY created_at DESC, id DESC LIMIT %(limit)s

-- name: delete
-- With its ticket; the object must be gone already.
DELETE FROM job_tickets WHERE id = %(id)s

-- name: count
SELECT count(*) FROM selected_activities(
    %(user_id)s, %(start)s, %(until)s, %(first_day)s, %(until_day)s, %(type)s, %(tag)s)

-- name: has_more_than
SELECT count(*) > %(most)s FROM (
    SELECT FROM selected_activities(
    %(user_id)s, %(start)s, %(until)s, %(first_day)s, %(until_day)s, %(type)s, %(tag)s)
    LIMIT %(most)s + 1
) AS counted

-- name: known
-- True for what is not asked for.
SELECT %(type)s::text IS NULL OR EXISTS (
           SELECT FROM activities
           WHERE user_id = %(user_id)s AND deleted_at IS NULL AND activity_type = %(type)s) AS type,
       %(tag)s::text IS NULL OR EXISTS (
           SELECT FROM activities
           WHERE user_id = %(user_id)s AND deleted_at IS NULL
             AND tags @> ARRAY[%(tag)s::text]) AS tag

-- name: rows
-- The columns of the API's CSV, newest first, as texts. (::text is faster than to_char; and it is
-- a.activity_date by which the index is in order, not the text.)
SELECT id::text, activity_type, duration_minutes::text, distance_km::text,
       replace((activity_date AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z' AS activity_date,
       array_to_string(tags, ','), notes
FROM selected_activities(
    %(user_id)s, %(start)s, %(until)s, %(first_day)s, %(until_day)s, %(type)s, %(tag)s) AS a
ORDER BY a.activity_date DESC, a.id DESC

-- name: rows_with_more
-- The same, and behind them the columns that are asked for by name.
SELECT id::text, activity_type, duration_minutes::text, distance_km::text,
       replace((activity_date AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z' AS activity_date,
       array_to_string(tags, ','), notes, title, calories::text,
       to_char(local_time, 'YYYY-MM-DD"T"HH24:MI:SS')
           || CASE WHEN utc_offset < 0 THEN '-' ELSE '+' END
           || to_char(make_interval(mins => abs(utc_offset)), 'HH24:MI') AS start_local,
       moving_minutes::text, source
FROM selected_activities(
    %(user_id)s, %(start)s, %(until)s, %(first_day)s, %(until_day)s, %(type)s, %(tag)s) AS a
ORDER BY a.activity_date DESC, a.id DESC

-- name: expired
-- Keys of objects that are still there.
SELECT e.object_key FROM exports e JOIN job_tickets t ON t.id = e.id
WHERE t.expires_at < %(now)s AND e.removed_at IS NULL ORDER BY t.expires_at LIMIT %(page)s

-- name: mark_removed
UPDATE exports SET removed_at = now() WHERE object_key = ANY (%(keys)s)
