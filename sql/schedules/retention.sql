-- name: schedule_runs
DELETE FROM schedule_runs WHERE id IN (
    SELECT id FROM schedule_runs
    WHERE started_at < %(now)s::timestamptz - interval '400 days'
    ORDER BY started_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)
