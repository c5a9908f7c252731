-- name: request
-- No row when there is nobody with that address, it is one's own, they are friends already, a
-- request waits already, or one of them has blocked the other. That it was asked is kept in any case.
WITH asks AS (
    INSERT INTO friend_asks (user_id, email)
    SELECT %(user_id)s, lower(%(email)s) WHERE NOT EXISTS (
        SELECT FROM friendships f JOIN users u ON u.id = f.friend_id
        WHERE f.user_id = %(user_id)s AND lower(u.email) = lower(%(email)s))
      -- What is no address has a space; nobody waits for that, or for themselves.
      AND position(' ' IN %(email)s) = 0
      AND NOT EXISTS (SELECT FROM users WHERE id = %(user_id)s AND lower(email) = lower(%(email)s))
    ON CONFLICT (user_id, email) DO UPDATE SET asked_at = now()
),
other AS (
    SELECT id FROM users WHERE lower(email) = lower(%(email)s::text COLLATE "C") AND verified_at IS NOT NULL
      AND id <> %(user_id)s
),
asked AS (
    INSERT INTO friend_requests (from_id, to_id)
    SELECT %(user_id)s, other.id FROM other
    WHERE NOT EXISTS (SELECT FROM friendships f WHERE f.user_id = %(user_id)s AND f.friend_id = other.id)
      AND NOT EXISTS (SELECT FROM blocks b
                      WHERE (b.user_id, b.blocked_id) IN ((other.id, %(user_id)s), (%(user_id)s, other.id)))
    ON CONFLICT DO NOTHING RETURNING id, to_id
),
notified AS (
    INSERT INTO notifications (user_id, kind, actor_id, request_id)
    SELECT to_id, 'friend_request', %(user_id)s, id FROM asked
)
SELECT id, to_id FROM asked

-- name: requests
SELECT r.id, r.from_id, u.name AS from_name, u.email AS from_address, r.created_at
FROM friend_requests r JOIN users u ON u.id = r.from_id
WHERE r.to_id = %(user_id)s AND r.state = 'pending' ORDER BY r.id DESC LIMIT 100

-- name: accept
-- Also when each has asked the other: both requests are answered. They are locked in one order, since
-- both may accept at once. What stands between people whom one of them blocked is no request any more.
WITH pair AS (
    SELECT r.id FROM friend_requests asked
    JOIN friend_requests r ON r.from_id = asked.from_id AND r.to_id = asked.to_id
                           OR r.from_id = asked.to_id AND r.to_id = asked.from_id
    WHERE asked.id = %(id)s AND asked.to_id = %(user_id)s AND r.state = 'pending'
      AND NOT EXISTS (SELECT FROM blocks b WHERE (b.user_id, b.blocked_id) IN (
                          (asked.from_id, asked.to_id), (asked.to_id, asked.from_id)))
    ORDER BY r.id FOR UPDATE OF r
),
accepted AS (
    UPDATE friend_requests SET state = 'accepted', answered_at = now()
    WHERE id IN (SELECT id FROM pair) AND %(id)s IN (SELECT id FROM pair) RETURNING id, from_id, to_id
),
answered AS (SELECT from_id, to_id FROM accepted WHERE id = %(id)s),
befriended AS (
    INSERT INTO friendships (user_id, friend_id)
    SELECT from_id, to_id FROM answered UNION ALL SELECT to_id, from_id FROM answered
    ON CONFLICT DO NOTHING
),
notified AS (
    INSERT INTO notifications (user_id, kind, actor_id)
    SELECT from_id, 'friend_accepted', to_id FROM answered
),
done AS (
    DELETE FROM friend_asks a USING answered JOIN users u ON u.id = to_id
    WHERE a.user_id = from_id AND a.email = lower(u.email)
)
SELECT true FROM answered

-- name: sent
SELECT email, asked_at FROM friend_asks WHERE user_id = %(user_id)s ORDER BY asked_at DESC LIMIT 100

-- name: withdraw
-- And the request, if somebody has that address.
WITH asked AS (
    DELETE FROM friend_asks WHERE user_id = %(user_id)s AND email = lower(%(email)s) RETURNING email
),
withdrawn AS (
    DELETE FROM friend_requests r USING asked, users u
    WHERE lower(u.email) = asked.email AND r.from_id = %(user_id)s AND r.to_id = u.id
      AND r.state = 'pending'
)
SELECT true FROM asked

-- name: decline
UPDATE friend_requests SET state = 'declined', answered_at = now()
WHERE id = %(id)s AND to_id = %(user_id)s AND state = 'pending'

-- name: block
-- Declines it, its sender can ask no more, and what one asked of them oneself is taken back. Locked in
-- the order of `accept`.
WITH pair AS (
    SELECT r.id FROM friend_requests asked
    JOIN friend_requests r ON r.from_id = asked.from_id AND r.to_id = asked.to_id
                           OR r.from_id = asked.to_id AND r.to_id = asked.from_id
    WHERE asked.id = %(id)s AND asked.to_id = %(user_id)s AND r.state = 'pending'
    ORDER BY r.id FOR UPDATE OF r
),
declined AS (
    UPDATE friend_requests SET state = 'declined', answered_at = now()
    WHERE id IN (SELECT id FROM pair) AND %(id)s IN (SELECT id FROM pair) RETURNING id, from_id, to_id
)
INSERT INTO blocks (user_id, blocked_id) SELECT to_id, from_id FROM declined WHERE id = %(id)s
ON CONFLICT DO NOTHING

-- name: blocked
SELECT b.blocked_id AS user_id, u.name, b.created_at AS since
FROM blocks b JOIN users u ON u.id = b.blocked_id
WHERE b.user_id = %(user_id)s AND b.blocked_id > %(after)s ORDER BY b.blocked_id LIMIT %(limit)s

-- name: unblock
DELETE FROM blocks WHERE user_id = %(user_id)s AND blocked_id = %(blocked_id)s

-- name: page
SELECT f.friend_id AS user_id, u.name, f.since
FROM friendships f JOIN users u ON u.id = f.friend_id
WHERE f.user_id = %(user_id)s AND f.friend_id > %(after)s ORDER BY f.friend_id LIMIT %(limit)s

-- name: unfriend
DELETE FROM friendships
WHERE (user_id, friend_id) IN ((%(user_id)s, %(friend_id)s), (%(friend_id)s, %(user_id)s))

-- name: block_friend
WITH ended AS (
    DELETE FROM friendships
    WHERE (user_id, friend_id) IN ((%(user_id)s, %(friend_id)s), (%(friend_id)s, %(user_id)s))
    RETURNING user_id
)
INSERT INTO blocks (user_id, blocked_id)
SELECT %(user_id)s, %(friend_id)s WHERE EXISTS (SELECT FROM ended) ON CONFLICT DO NOTHING

-- name: notifications
SELECT n.id, n.kind, n.actor_id, u.name AS actor_name, n.activity_id, a.activity_type,
       n.request_id, n.created_at, n.read_at
FROM notifications n
JOIN users u ON u.id = n.actor_id
LEFT JOIN activities a ON a.id = n.activity_id
WHERE n.user_id = %(user_id)s AND (%(before)s::bigint IS NULL OR n.id < %(before)s)
  AND a.deleted_at IS NULL
ORDER BY n.id DESC LIMIT %(limit)s

-- name: unread
SELECT count(*) FROM (
    SELECT FROM notifications n LEFT JOIN activities a ON a.id = n.activity_id
    WHERE n.user_id = %(user_id)s AND n.read_at IS NULL AND a.deleted_at IS NULL LIMIT 100) AS counted

-- name: mark_read
UPDATE notifications SET read_at = now() WHERE user_id = %(user_id)s AND read_at IS NULL

-- name: notify
-- Tells an activity's owner's friends of it, a page of them at a time. A second run finds the ones
-- it told, and does not tell them again.
WITH notified AS (
    SELECT f.friend_id FROM activities a JOIN friendships f ON f.user_id = a.user_id
    WHERE a.id = %(activity_id)s AND a.deleted_at IS NULL AND f.friend_id > %(after)s
    ORDER BY f.friend_id LIMIT %(limit)s
),
written AS (
    INSERT INTO notifications (user_id, kind, actor_id, activity_id)
    SELECT notified.friend_id, 'friend_activity', a.user_id, a.id
    FROM notified JOIN activities a ON a.id = %(activity_id)s
    ON CONFLICT DO NOTHING
)
SELECT coalesce(array_agg(friend_id ORDER BY friend_id), '{}') FROM notified

-- name: take_requests
-- Those that no other mail tells of, and those that this one took before: the first twenty, and how
-- many there are.
WITH claimed AS (
    UPDATE friend_requests SET mail_id = %(mail_id)s
    WHERE to_id = %(user_id)s AND state = 'pending' AND (mail_id IS NULL OR mail_id = %(mail_id)s)
    RETURNING from_id, id
)
SELECT u.name, count(*) OVER () AS total
FROM claimed JOIN users u ON u.id = claimed.from_id ORDER BY claimed.id LIMIT 20

-- name: take_activities
-- As take_requests; of the last week, and of those who are friends still. (Whoever did not want such mails for
-- months is not told of all that happened meanwhile: mail 0 is none.)
WITH taken AS (
    UPDATE notifications
    SET mail_id = CASE WHEN created_at > now() - interval '7 days' THEN %(mail_id)s::bigint ELSE 0 END
    WHERE user_id = %(user_id)s AND kind = 'friend_activity'
      AND (mail_id IS NULL OR mail_id = %(mail_id)s)
    RETURNING activity_id, actor_id, id, mail_id
),
claimed AS (
    SELECT * FROM taken WHERE mail_id <> 0
)
SELECT u.name, a.activity_type, a.duration_minutes, a.distance_km, count(*) OVER () AS total
FROM claimed JOIN users u ON u.id = claimed.actor_id
JOIN friendships f ON f.user_id = %(user_id)s AND f.friend_id = claimed.actor_id
JOIN activities a ON a.id = claimed.activity_id AND a.deleted_at IS NULL
ORDER BY claimed.id DESC LIMIT 20
