-- name: activity_details
-- What activities.csv, the same file as any export's, does not hold.
SELECT id AS activity_id, title, calories, moving_minutes, utc_offset, source, created_at, updated_at
FROM activities
WHERE user_id = %(user_id)s AND deleted_at IS NULL ORDER BY activity_date DESC, id DESC

-- name: photos
SELECT id || '.jpg' AS file, activity_id, width, height, created_at FROM photos
WHERE user_id = %(user_id)s ORDER BY created_at
