-- name: limits
DELETE FROM limits WHERE key IN (
    SELECT key FROM limits WHERE window_ends < %(now)s
    ORDER BY window_ends LIMIT %(page)s FOR UPDATE SKIP LOCKED)
