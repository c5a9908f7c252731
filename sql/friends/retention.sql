-- name: friend_asks
DELETE FROM friend_asks WHERE (user_id, email) IN (
    SELECT user_id, email FROM friend_asks WHERE asked_at < %(now)s::timestamptz - interval '60 days'
    ORDER BY asked_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)
