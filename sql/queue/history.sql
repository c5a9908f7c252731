-- name: start
INSERT INTO schedule_runs (task_name, tick, job_id) VALUES (%(task_name)s, %(tick)s, %(job_id)s)
RETURNING id

-- name: finish
UPDATE schedule_runs
SET finished_at = now(), outcome = %(outcome)s, counts = %(counts)s, error = %(error)s
WHERE id = %(id)s

-- name: forget
DELETE FROM schedule_runs WHERE id = %(id)s
