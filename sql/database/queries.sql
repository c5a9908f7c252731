-- name: take
INSERT INTO limits AS l (key, hits, window_ends)
VALUES (%(key)s, 1, now() + make_interval(secs => %(seconds)s))
ON CONFLICT (key) DO UPDATE SET
    hits = CASE WHEN l.window_ends <= now() THEN 1 ELSE l.hits + 1 END,
    window_ends = CASE WHEN l.window_ends <= now() THEN excluded.window_ends ELSE l.window_ends END
RETURNING hits, greatest(1, ceil(extract(epoch FROM window_ends - now())))::integer AS seconds_left

-- name: give_back
-- In one order, or two could deadlock.
UPDATE limits SET hits = hits - 1
WHERE key IN (SELECT key FROM limits WHERE key = ANY (%(keys)s) AND hits > 0 ORDER BY key FOR UPDATE)
