-- name: visitor
SELECT u.id, u.name, u.email, u.is_admin,
       (SELECT count(*) FROM (
            SELECT FROM notifications WHERE user_id = u.id AND read_at IS NULL LIMIT 10) AS counted
       )::integer AS unread
FROM users u WHERE u.id = %(user_id)s AND u.verified_at IS NOT NULL
