-- name: imports
-- Of these keys those that no row needs: not those of imports that wait or run.
SELECT k.key FROM unnest(%(keys)s::text[]) AS k (key)
WHERE NOT EXISTS (SELECT FROM imports i JOIN job_tickets t ON t.id = i.id
                  LEFT JOIN procrastinate_jobs j ON j.id = t.job_id
                  WHERE i.object_key = k.key AND t.completed_at IS NULL AND t.cancelled_at IS NULL
                    AND (t.job_id IS NULL OR j.status IN ('todo', 'doing')))

-- name: needed_imports
-- Files that wait to be read, or are just being read.
SELECT i.object_key FROM imports i JOIN job_tickets t ON t.id = i.id
LEFT JOIN procrastinate_jobs j ON j.id = t.job_id
WHERE i.object_key > %(after)s AND t.completed_at IS NULL AND t.cancelled_at IS NULL
  AND (t.job_id IS NULL OR j.status IN ('todo', 'doing'))
ORDER BY i.object_key LIMIT %(page)s
