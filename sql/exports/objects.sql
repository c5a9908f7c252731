-- name: exports
-- Of these keys those that no row needs: not those of exports that wait, run or are there.
SELECT k.key FROM unnest(%(keys)s::text[]) AS k (key)
WHERE NOT EXISTS (SELECT FROM exports e JOIN job_tickets t ON t.id = e.id
                  LEFT JOIN procrastinate_jobs j ON j.id = t.job_id
                  WHERE e.object_key = k.key AND e.removed_at IS NULL
                    AND (t.completed_at IS NOT NULL OR t.cancelled_at IS NULL
                         AND (t.job_id IS NULL OR j.status IN ('todo', 'doing'))))

-- name: needed_exports
-- Those that can be downloaded.
SELECT e.object_key FROM exports e JOIN job_tickets t ON t.id = e.id
WHERE e.object_key > %(after)s AND e.removed_at IS NULL AND t.completed_at IS NOT NULL
ORDER BY e.object_key LIMIT %(page)s
