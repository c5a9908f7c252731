-- name: fan_out
-- A page of users who were active in the month: a job each, that draws the report. It is low in
-- the queue of the same name, so exports that somebody waits for go first. It waits until the month is
-- over where the person lives.
WITH page AS (
    SELECT id, zone FROM users
    WHERE id > %(after)s AND verified_at IS NOT NULL AND delete_after IS NULL
    ORDER BY id LIMIT %(limit)s
),
active AS (
    SELECT p.id, p.zone FROM page p
    WHERE EXISTS (SELECT FROM activities a WHERE a.user_id = p.id AND a.deleted_at IS NULL
                  AND a.local_time >= %(first)s::date AND a.local_time < %(until)s::date
                  AND a.activity_date >= %(first)s::date - 1 AND a.activity_date < %(until)s::date + 1)
      AND NOT EXISTS (SELECT FROM reports r WHERE r.user_id = p.id AND r.month = %(first)s::date)
),
deferred AS (
    SELECT procrastinate_defer_jobs_v1(array_agg(ROW(
        %(queue)s, %(task)s, -1, NULL, NULL,
        jsonb_build_object('user_id', id, 'month', %(first)s::date),
        nullif(greatest(now(), %(until)s::date::timestamp AT TIME ZONE zone), now())
    )::procrastinate_job_to_defer_v1)) AS ids FROM active
)
SELECT (SELECT max(id) FROM page) AS last_id,
       coalesce((SELECT cardinality(ids) FROM deferred), 0) AS queued

-- name: keep
-- No row when the account is gone.
INSERT INTO reports (user_id, month, object_key, size)
SELECT id, %(month)s, %(object_key)s, %(size)s FROM users WHERE id = %(user_id)s
ON CONFLICT (user_id, month) DO UPDATE SET size = excluded.size, created_at = now()

-- name: get
SELECT month, size, created_at FROM reports WHERE user_id = %(user_id)s AND month = %(month)s

-- name: page
SELECT month, size, created_at FROM reports WHERE user_id = %(user_id)s ORDER BY month DESC LIMIT 240
