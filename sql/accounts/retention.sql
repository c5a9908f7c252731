-- name: verification_links
DELETE FROM verifications WHERE id IN (
    SELECT id FROM verifications WHERE expires_at < %(now)s::timestamptz - interval '7 days'
    ORDER BY expires_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: password_links
DELETE FROM password_resets WHERE id IN (
    SELECT id FROM password_resets WHERE expires_at < %(now)s::timestamptz - interval '7 days'
    ORDER BY expires_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: address_links
DELETE FROM address_changes WHERE id IN (
    SELECT id FROM address_changes WHERE expires_at < %(now)s::timestamptz - interval '7 days'
    ORDER BY expires_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: unverified_registrations
-- Registrations that nobody verified; their mails go with them. (Not accounts whose deletion was cut
-- off: they are closed, and more is to go than their row.)
DELETE FROM users WHERE id IN (
    SELECT id FROM users WHERE verified_at IS NULL AND delete_after IS NULL AND created_at < %(now)s::timestamptz - interval '7 days'
    ORDER BY created_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)
