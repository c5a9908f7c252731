-- name: photos
-- Of these keys those that no row needs.
SELECT k.key FROM unnest(%(keys)s::text[]) AS k (key)
WHERE NOT EXISTS (SELECT FROM photos p WHERE p.object_key = k.key)

-- name: needed_photos
SELECT object_key FROM photos WHERE object_key > %(after)s ORDER BY object_key LIMIT %(page)s
