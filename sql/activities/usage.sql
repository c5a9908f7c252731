-- name: activities
SELECT count(*) FROM activities WHERE user_id = %(user_id)s AND deleted_at IS NULL

-- name: photo_bytes
SELECT coalesce(sum(size), 0) FROM photos WHERE user_id = %(user_id)s
