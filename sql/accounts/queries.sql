-- name: register
-- An unverified account, and the verified one with the same address, if there is one. Whoever registers
-- again is written to again, though mails to the address were refused before.
WITH lifted AS (
    DELETE FROM suppressed_addresses WHERE address = lower(%(email)s::text COLLATE "C")
),
registered AS (
    INSERT INTO users (email, name, password_hash, zone, language)
    VALUES (%(email)s, %(name)s, %(password_hash)s, %(zone)s, %(language)s)
    RETURNING id, email, verified_at
)
SELECT r.id AS user_id, r.email, r.verified_at, o.id AS owner_id
FROM registered r LEFT JOIN users o ON lower(o.email) = lower(r.email) AND o.verified_at IS NOT NULL

-- name: pending
SELECT u.id AS user_id, u.email, u.verified_at, o.id AS owner_id
FROM users u
LEFT JOIN users o ON lower(o.email) = lower(u.email) AND o.verified_at IS NOT NULL AND o.id <> u.id
WHERE u.id = %(user_id)s

-- name: registration
-- How the newest mail with a link ended, or, where the address has an account, the note to its owner, who
-- gets one a day. For the first seconds it has no end: how soon it is known would tell which of the two.
SELECT u.email, u.verified_at, ended.state, ended.answer
FROM users u
LEFT JOIN users o ON lower(o.email) = lower(u.email) AND o.verified_at IS NOT NULL AND o.id <> u.id
LEFT JOIN LATERAL (
    SELECT created_at FROM mails WHERE user_id = u.id AND kind = %(link)s ORDER BY id DESC LIMIT 1
) AS link ON true
LEFT JOIN LATERAL (
    SELECT state, answer FROM mails
    WHERE user_id = coalesce(o.id, u.id) AND kind = CASE WHEN o.id IS NULL THEN %(link)s ELSE %(note)s END
    ORDER BY id DESC LIMIT 1
) AS ended ON link.created_at < now() - interval '5 seconds'
WHERE u.id = %(user_id)s

-- name: add_verification
INSERT INTO verifications (id, user_id, token_hash, expires_at)
VALUES (%(id)s, %(user_id)s, %(token_hash)s, now() + interval '24 hours')

-- name: verification_is_open
SELECT true FROM verifications v JOIN users u ON u.id = v.user_id
WHERE v.id = %(id)s AND v.used_at IS NULL AND v.expires_at > now() AND u.verified_at IS NULL

-- name: verify
-- When the address became verified; no row for a token that is unknown, used or too old.
WITH used AS (
    UPDATE verifications SET used_at = now()
    WHERE token_hash = %(token_hash)s AND used_at IS NULL AND expires_at > now()
    RETURNING user_id
)
UPDATE users SET verified_at = now(), password_hash = coalesce(%(password_hash)s, password_hash)
FROM used WHERE users.id = used.user_id AND users.verified_at IS NULL
RETURNING users.verified_at

-- name: verification_token_is_open
SELECT true FROM verifications
WHERE token_hash = %(token_hash)s AND used_at IS NULL AND expires_at > now()

-- name: credentials
-- With the database's time, which is also that of sessions' ends.
SELECT id, email, password_hash, now() AS at FROM users
WHERE lower(email) = lower(%(email)s::text COLLATE "C") AND verified_at IS NOT NULL

-- name: profile
SELECT id, email, name, zone, units, week_start, language, created_at, verified_at,
       delete_after FROM users
WHERE id = %(user_id)s AND verified_at IS NOT NULL

-- name: zone
SELECT zone FROM users WHERE id = %(user_id)s

-- name: local_day
-- That a person's calendar shows.
SELECT (%(now)s AT TIME ZONE zone)::date FROM users WHERE id = %(user_id)s

-- name: change_profile
UPDATE users SET name = coalesce(%(name)s, name), zone = coalesce(%(zone)s, zone),
    units = coalesce(%(units)s, units), week_start = coalesce(%(week_start)s, week_start),
    language = coalesce(%(language)s, language)
WHERE id = %(user_id)s AND verified_at IS NOT NULL
RETURNING id, email, name, zone, units, week_start, language, created_at, verified_at,
       delete_after

-- name: delete_later
-- Asking again does not put it off.
UPDATE users SET delete_after = coalesce(delete_after, now() + make_interval(days => %(days)s))
WHERE id = %(user_id)s AND verified_at IS NOT NULL
RETURNING id, email, name, zone, units, week_start, language, created_at, verified_at,
       delete_after

-- name: restore
UPDATE users SET delete_after = NULL WHERE id = %(user_id)s AND verified_at IS NOT NULL
RETURNING id, email, name, zone, units, week_start, language, created_at, verified_at,
       delete_after

-- name: request_reset
-- And the job that looks whose address it is.
WITH request AS (
    INSERT INTO password_resets (id, email, token_hash, expires_at, asked_from)
    VALUES (%(id)s, %(email)s, %(token_hash)s, now() + interval '1 hour', %(asked_from)s)
)
SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(
    %(queue)s, %(task)s, 0, NULL, NULL, %(args)s, NULL)::procrastinate_job_to_defer_v1])

-- name: find_reset_owner
UPDATE password_resets r SET user_id = u.id, email = NULL FROM users u
WHERE r.id = %(id)s AND r.used_at IS NULL AND r.expires_at > now() AND u.verified_at IS NOT NULL
  AND (r.user_id = u.id OR lower(u.email) = lower(r.email))
RETURNING u.id

-- name: drop_reset
-- Of an address that nobody has.
DELETE FROM password_resets WHERE id = %(id)s AND user_id IS NULL

-- name: signed_in_from
SELECT EXISTS (SELECT FROM sessions s JOIN users u ON u.id = s.user_id
               WHERE lower(u.email) = lower(%(email)s::text COLLATE "C") AND u.verified_at IS NOT NULL
                 AND s.host = %(host)s AND s.started_at > now() - interval '90 days')

-- name: open_reset
SELECT expires_at - interval '1 hour' AS at, asked_from FROM password_resets
WHERE id = %(id)s AND used_at IS NULL AND expires_at > now()

-- name: reset_token_is_open
SELECT true FROM password_resets
WHERE token_hash = %(token_hash)s AND used_at IS NULL AND expires_at > now()

-- name: reset_password
-- No row for a token that is unknown, used or too old. The other links that wait are used up, too.
WITH used AS (
    UPDATE password_resets r SET used_at = now()
    FROM (SELECT user_id FROM password_resets
          WHERE token_hash = %(token_hash)s AND used_at IS NULL AND expires_at > now()) AS mine
    WHERE r.user_id = mine.user_id AND r.used_at IS NULL
    RETURNING r.user_id
),
changed AS (
    UPDATE users SET password_hash = %(password_hash)s
    WHERE id IN (SELECT user_id FROM used) AND verified_at IS NOT NULL RETURNING id
)
INSERT INTO session_endings (user_id) SELECT id FROM changed RETURNING user_id

-- name: use_up_links
-- To reset the password, and to another address: somebody may have asked for them with the password of
-- before, and they may lie in the mailbox of before.
WITH resets AS (
    UPDATE password_resets SET used_at = now() WHERE user_id = %(user_id)s AND used_at IS NULL
)
UPDATE address_changes SET used_at = now() WHERE user_id = %(user_id)s AND used_at IS NULL

-- name: end_sessions
INSERT INTO session_endings (user_id) VALUES (%(user_id)s)

-- name: owner
SELECT id FROM users WHERE lower(email) = lower(%(email)s::text COLLATE "C") AND verified_at IS NOT NULL

-- name: change_password
WITH changed AS (
    UPDATE users SET password_hash = %(password_hash)s
    WHERE id = %(user_id)s AND verified_at IS NOT NULL RETURNING id
)
INSERT INTO session_endings (user_id) SELECT id FROM changed

-- name: add_address_change
-- Whoever asks for it is written to, though mails to the address were refused before.
WITH lifted AS (
    DELETE FROM suppressed_addresses WHERE address = lower(%(email)s::text COLLATE "C")
)
INSERT INTO address_changes (id, user_id, email, token_hash, expires_at)
VALUES (%(id)s, %(user_id)s, %(email)s, %(token_hash)s, now() + interval '24 hours')

-- name: address_change_is_open
SELECT true FROM address_changes WHERE id = %(id)s AND used_at IS NULL AND expires_at > now()

-- name: confirm_address
-- No row for a token that is unknown, used or too old. The other links that wait are used up, too.
WITH mine AS (
    SELECT c.id, c.user_id, c.email, u.email AS old_email
    FROM address_changes c JOIN users u ON u.id = c.user_id AND u.verified_at IS NOT NULL
    WHERE c.token_hash = %(token_hash)s AND c.used_at IS NULL AND c.expires_at > now()
    FOR UPDATE
),
used AS (
    UPDATE address_changes c SET used_at = now() FROM mine
    WHERE c.user_id = mine.user_id AND c.used_at IS NULL
)
UPDATE users SET email = mine.email FROM mine WHERE users.id = mine.user_id
RETURNING users.id AS user_id, mine.old_email
