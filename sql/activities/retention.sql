-- name: activities
-- With their photos' rows, whose objects the sweep finds. Rows that somebody holds wait for the
-- next night.
DELETE FROM activities WHERE id IN (
    SELECT id FROM activities WHERE deleted_at < %(now)s::timestamptz - interval '30 days'
    ORDER BY deleted_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)
