-- name: request
-- The export, its ticket and its job, in one round trip. No row when the line is full.
WITH ticket AS (
    SELECT open_ticket(%(id)s, %(user_id)s, %(kind)s, %(task)s, %(queue)s,
                       %(line)s, %(line_slots)s, %(waiting)s) AS is_open
)
INSERT INTO exports (id, user_id, format, filters, object_key)
SELECT %(id)s, %(user_id)s, %(format)s, %(filters)s, %(object_key)s
FROM ticket WHERE is_open

-- name: get
SELECT id, user_id, format, filters, object_key FROM exports WHERE id = %(id)s

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
SELECT count(*) FROM activities
WHERE user_id = %(user_id)s AND deleted_at IS NULL
  AND (%(start)s::timestamptz IS NULL OR activity_date >= %(start)s)
  AND (%(until)s::timestamptz IS NULL OR activity_date < %(until)s)

-- name: copy_csv
-- The columns of the API's CSV, newest first. A text that a spreadsheet would take for a formula
-- gets a ' in front, and so does one that has such a ' already: the import takes exactly one off.
COPY (
    SELECT id,
           CASE WHEN activity_type ~ '^''*[=+\-@\t\r\n]' THEN '''' ELSE '' END || activity_type
               AS activity_type,
           duration_minutes,
           distance_km,
           to_char(activity_date AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS activity_date,
           CASE WHEN cardinality(tags) = 0 THEN NULL
                WHEN tags[1] ~ '^''*[=+\-@\t\r\n]' THEN '''' || array_to_string(tags, ',')
                ELSE array_to_string(tags, ',') END AS tags,
           CASE WHEN notes = '' THEN NULL
                WHEN notes ~ '^''*[=+\-@\t\r\n]' THEN '''' || notes ELSE notes END AS notes
    FROM activities
    WHERE user_id = %(user_id)s AND deleted_at IS NULL
      AND (%(start)s::timestamptz IS NULL OR activity_date >= %(start)s)
      AND (%(until)s::timestamptz IS NULL OR activity_date < %(until)s)
    ORDER BY activity_date DESC, id DESC
) TO STDOUT (FORMAT csv, HEADER)

-- name: copy_csv_without_tags
COPY (
    SELECT id,
           CASE WHEN activity_type ~ '^''*[=+\-@\t\r\n]' THEN '''' ELSE '' END || activity_type
               AS activity_type,
           duration_minutes,
           distance_km,
           to_char(activity_date AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS activity_date,
           CASE WHEN notes = '' THEN NULL
                WHEN notes ~ '^''*[=+\-@\t\r\n]' THEN '''' || notes ELSE notes END AS notes
    FROM activities
    WHERE user_id = %(user_id)s AND deleted_at IS NULL
      AND (%(start)s::timestamptz IS NULL OR activity_date >= %(start)s)
      AND (%(until)s::timestamptz IS NULL OR activity_date < %(until)s)
    ORDER BY activity_date DESC, id DESC
) TO STDOUT (FORMAT csv, HEADER)
