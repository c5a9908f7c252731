-- name: activity_jobs
-- Before the activities.
DELETE FROM procrastinate_jobs j
WHERE j.status <> 'doing' AND j.args ? 'activity_id' AND j.args->>'activity_id' IN (
    SELECT id::text FROM activities WHERE user_id = ANY (%(user_ids)s))

-- name: account_activities
-- A page of them: one account may have millions.
DELETE FROM activities WHERE id IN (
    SELECT id FROM activities WHERE user_id = ANY (%(user_ids)s) LIMIT %(page)s)
