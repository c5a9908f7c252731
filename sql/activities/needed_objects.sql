-- name: photos
SELECT object_key FROM photos WHERE object_key > %(after)s ORDER BY object_key LIMIT %(page)s
