-- name: friends
SELECT u.name AS name, f.since FROM friendships f JOIN users u ON u.id = f.friend_id
WHERE f.user_id = %(user_id)s ORDER BY f.since

-- name: friend_requests
-- Of those that one sent only the accepted ones: the others would tell which addresses have accounts.
SELECT 'received' AS direction, u.name AS name, r.state, r.created_at, r.answered_at
FROM friend_requests r JOIN users u ON u.id = r.from_id WHERE r.to_id = %(user_id)s
UNION ALL
SELECT 'sent', u.name, r.state, r.created_at, r.answered_at
FROM friend_requests r JOIN users u ON u.id = r.to_id
WHERE r.from_id = %(user_id)s AND r.state = 'accepted'
ORDER BY 4

-- name: blocks
SELECT u.name AS name, b.created_at FROM blocks b JOIN users u ON u.id = b.blocked_id
WHERE b.user_id = %(user_id)s ORDER BY b.created_at

-- name: notifications
SELECT n.kind, u.name AS about, n.created_at, n.read_at
FROM notifications n JOIN users u ON u.id = n.actor_id
WHERE n.user_id = %(user_id)s ORDER BY n.id

-- name: friend_asks
SELECT email, asked_at FROM friend_asks WHERE user_id = %(user_id)s ORDER BY asked_at
