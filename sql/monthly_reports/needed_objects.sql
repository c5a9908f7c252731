-- name: reports
SELECT object_key FROM reports WHERE object_key > %(after)s ORDER BY object_key LIMIT %(page)s
