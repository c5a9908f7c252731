-- name: profile
COPY (SELECT id, email, guarded(name) AS name, created_at, verified_at, delete_after FROM users
      WHERE id = %(user_id)s) TO STDOUT (FORMAT csv, HEADER)

-- name: activity_details
-- What activities.csv, the same file as any export's, does not hold.
COPY (SELECT id AS activity_id, calories, created_at, updated_at FROM activities
      WHERE user_id = %(user_id)s AND deleted_at IS NULL ORDER BY activity_date DESC, id DESC)
TO STDOUT (FORMAT csv, HEADER)

-- name: friends
COPY (SELECT guarded(u.name) AS name, f.since FROM friendships f JOIN users u ON u.id = f.friend_id
      WHERE f.user_id = %(user_id)s ORDER BY f.since) TO STDOUT (FORMAT csv, HEADER)

-- name: friend_requests
-- Of those that one sent, only what one was told.
COPY (SELECT 'received' AS direction, guarded(u.name) AS name, r.state, r.created_at, r.answered_at
      FROM friend_requests r JOIN users u ON u.id = r.from_id WHERE r.to_id = %(user_id)s
      UNION ALL
      SELECT 'sent', CASE r.state WHEN 'accepted' THEN guarded(u.name) END,
             CASE r.state WHEN 'accepted' THEN 'accepted' ELSE 'pending' END, r.created_at,
             CASE r.state WHEN 'accepted' THEN r.answered_at END
      FROM friend_requests r JOIN users u ON u.id = r.to_id WHERE r.from_id = %(user_id)s
      ORDER BY 4) TO STDOUT (FORMAT csv, HEADER)

-- name: blocks
COPY (SELECT guarded(u.name) AS name, b.created_at FROM blocks b JOIN users u ON u.id = b.blocked_id
      WHERE b.user_id = %(user_id)s ORDER BY b.created_at) TO STDOUT (FORMAT csv, HEADER)

-- name: notifications
COPY (SELECT n.kind, guarded(u.name) AS about, n.created_at, n.read_at
      FROM notifications n JOIN users u ON u.id = n.actor_id
      WHERE n.user_id = %(user_id)s ORDER BY n.id) TO STDOUT (FORMAT csv, HEADER)

-- name: mails
COPY (SELECT kind, state, created_at, finished_at, size FROM mails
      WHERE user_id = %(user_id)s ORDER BY id) TO STDOUT (FORMAT csv, HEADER)

-- name: mail_preferences
COPY (SELECT list, wanted, changed_at FROM mail_preferences
      WHERE user_id = %(user_id)s ORDER BY list) TO STDOUT (FORMAT csv, HEADER)

-- name: exports
COPY (SELECT e.format, e.filters, e.created_at, t.completed_at, t.expires_at
      FROM exports e JOIN job_tickets t ON t.id = e.id
      WHERE e.user_id = %(user_id)s ORDER BY e.created_at) TO STDOUT (FORMAT csv, HEADER)

-- name: photos
COPY (SELECT id || '.jpg' AS file, activity_id, width, height, created_at FROM photos
      WHERE user_id = %(user_id)s ORDER BY created_at) TO STDOUT (FORMAT csv, HEADER)
