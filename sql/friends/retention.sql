-- name: friend_asks
DELETE FROM friend_asks WHERE (user_id, email) IN (
    SELECT user_id, email FROM friend_asks WHERE asked_at < %(now)s::timestamptz - interval '60 days'
    ORDER BY asked_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: notifications
-- The oldest, by their ids.
DELETE FROM notifications WHERE id IN (
    SELECT id FROM notifications WHERE id IN (SELECT id FROM notifications ORDER BY id LIMIT %(page)s)
      AND created_at < %(now)s::timestamptz - interval '400 days' FOR UPDATE SKIP LOCKED)
