-- name: account_addresses
DELETE FROM suppressed_addresses s USING users u
WHERE u.id = ANY (%(user_ids)s) AND s.address = lower(u.email)
