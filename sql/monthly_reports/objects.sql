-- name: reports
-- Of these keys those that no row needs.
SELECT k.key FROM unnest(%(keys)s::text[]) AS k (key)
WHERE NOT EXISTS (SELECT FROM reports r WHERE r.object_key = k.key)

-- name: needed_reports
SELECT object_key FROM reports WHERE object_key > %(after)s ORDER BY object_key LIMIT %(page)s
