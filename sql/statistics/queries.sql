-- name: page_end
-- The user with whom a page of a day's activities ends; no row when it is the last page.
SELECT user_id FROM activities
WHERE local_time::date = %(day)s AND deleted_at IS NULL
  AND user_id > %(after)s
ORDER BY user_id OFFSET %(page)s LIMIT 1

-- name: forget
DELETE FROM daily_stats WHERE day = %(day)s AND user_id > %(after)s AND user_id <= %(until)s

-- name: compute
-- A page of users, who are read from the index in their order. (The figures come after `forget` in
-- one transaction, which is cheaper than an upsert.)
INSERT INTO daily_stats (day, user_id, activities, minutes, kilometres, calories, by_type)
SELECT %(day)s, user_id, sum(activities), sum(minutes), round(sum(kilometres)::numeric, 3),
       sum(calories),
       jsonb_object_agg(activity_type,
                        jsonb_build_array(activities, minutes, round(kilometres::numeric, 3)))
FROM (
    SELECT user_id, activity_type, count(*) AS activities, sum(duration_minutes) AS minutes,
           sum(distance_km) AS kilometres, coalesce(sum(calories), 0) AS calories
    FROM activities
    WHERE local_time::date = %(day)s AND deleted_at IS NULL
      AND user_id > %(after)s AND user_id <= %(until)s
    GROUP BY user_id, activity_type
) AS types
GROUP BY user_id

-- name: set_progress
UPDATE stats_progress SET computed_until = greatest(computed_until, %(until)s)

-- name: computed_until
SELECT nullif(computed_until, '-infinity') FROM stats_progress

-- name: first_day
SELECT min(local_time::date) FROM activities WHERE deleted_at IS NULL

-- name: last_day
-- Of a person's activities.
SELECT local_time::date FROM activities
WHERE user_id = %(user_id)s AND deleted_at IS NULL ORDER BY activity_date DESC LIMIT 1

-- name: take_stale
-- A page of marks, taken away; it waits for changes that are on their way.
WITH page AS (
    SELECT user_id, day FROM stale_days WHERE day < %(before)s
    ORDER BY user_id, day LIMIT %(limit)s FOR UPDATE
)
DELETE FROM stale_days s USING page p WHERE s.user_id = p.user_id AND s.day = p.day
RETURNING s.user_id, s.day

-- name: compute_again
-- Runs after `take_stale` in its transaction, so it sees all that made the marks.
WITH stale AS (
    SELECT * FROM unnest(%(user_ids)s::bigint[], %(days)s::date[]) AS s (user_id, day)
),
gone AS (
    DELETE FROM daily_stats d USING stale s WHERE d.day = s.day AND d.user_id = s.user_id
      AND NOT EXISTS (SELECT FROM activities a WHERE a.user_id = s.user_id AND a.deleted_at IS NULL
                      AND a.local_time::date = s.day)
)
INSERT INTO daily_stats (day, user_id, activities, minutes, kilometres, calories, by_type)
SELECT day, user_id, sum(activities), sum(minutes), round(sum(kilometres)::numeric, 3),
       sum(calories),
       jsonb_object_agg(activity_type,
                        jsonb_build_array(activities, minutes, round(kilometres::numeric, 3)))
FROM (
    SELECT s.day, s.user_id, a.activity_type, count(*) AS activities,
           sum(a.duration_minutes) AS minutes, sum(a.distance_km) AS kilometres,
           coalesce(sum(a.calories), 0) AS calories
    FROM stale s JOIN activities a ON a.user_id = s.user_id AND a.deleted_at IS NULL
     AND a.local_time::date = s.day
    GROUP BY s.day, s.user_id, a.activity_type
) AS types
GROUP BY day, user_id
ON CONFLICT (day, user_id) DO UPDATE SET
    activities = excluded.activities, minutes = excluded.minutes, kilometres = excluded.kilometres,
    calories = excluded.calories, by_type = excluded.by_type

-- name: days
-- A user's days with anything in them: computed ones, and live those that are not computed yet or
-- do not hold any more.
WITH live AS (
    SELECT d.day FROM unnest(%(days)s::date[]) AS d (day)
    WHERE d.day >= (SELECT computed_until FROM stats_progress)
       OR EXISTS (SELECT FROM stale_days s WHERE s.user_id = %(user_id)s AND s.day = d.day)
)
SELECT day, activities, minutes, kilometres, calories, by_type FROM daily_stats
WHERE user_id = %(user_id)s AND day = ANY (%(days)s) AND day NOT IN (SELECT day FROM live)
UNION ALL
SELECT day, sum(activities)::integer, sum(minutes)::bigint,
       round(sum(kilometres)::numeric, 3)::double precision, sum(calories)::bigint,
       jsonb_object_agg(activity_type,
                        jsonb_build_array(activities, minutes, round(kilometres::numeric, 3)))
FROM (
    SELECT live.day, a.activity_type, count(*) AS activities, sum(a.duration_minutes) AS minutes,
           sum(a.distance_km) AS kilometres, coalesce(sum(a.calories), 0) AS calories
    FROM live JOIN activities a ON a.user_id = %(user_id)s AND a.deleted_at IS NULL
     AND a.local_time::date = live.day
    GROUP BY live.day, a.activity_type
) AS types
GROUP BY day ORDER BY day

-- name: weeks
-- What many people did, each in a time of their own, by day and type.
SELECT asked.place, found.* FROM jsonb_to_recordset(%(asked)s) AS asked (
    place integer, user_id bigint, first date, until date)
CROSS JOIN LATERAL (
    SELECT local_time::date, activity_type, count(*)::integer, sum(duration_minutes)::bigint,
           sum(distance_km)::double precision, coalesce(sum(calories), 0)::bigint
    FROM activities a
    WHERE a.user_id = asked.user_id AND a.deleted_at IS NULL
      AND a.local_time >= asked.first AND a.local_time < asked.until
      AND a.activity_date >= asked.first - 1 AND a.activity_date < asked.until + 1  -- as the index has them
    GROUP BY 1, 2
) AS found

-- name: week_records
-- Of many people, each with a week: the farthest of a type, where somebody went farther than ever
-- before, and not for the first time. (Most went farther before, which is soon found.)
SELECT asked.place, best.* FROM jsonb_to_recordset(%(asked)s) AS asked (
    place integer, user_id bigint, first date, until date)
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (activity_type) activity_type, distance_km, local_time::date AS day
    FROM activities a
    WHERE a.user_id = asked.user_id AND a.deleted_at IS NULL AND a.distance_km > 0
      AND a.local_time >= asked.first AND a.local_time < asked.until
      AND a.activity_date >= asked.first - 1 AND a.activity_date < asked.until + 1  -- as the index has them
    ORDER BY activity_type, distance_km DESC, id
) AS best
WHERE NOT EXISTS (
    SELECT FROM activities a
    WHERE a.user_id = asked.user_id AND a.deleted_at IS NULL AND a.activity_type = best.activity_type
      AND a.local_time < asked.first AND a.activity_date < asked.first + 1
      AND a.distance_km >= best.distance_km)
  AND EXISTS (
    SELECT FROM activities a
    WHERE a.user_id = asked.user_id AND a.deleted_at IS NULL AND a.activity_type = best.activity_type
      AND a.local_time < asked.first AND a.activity_date < asked.first + 1
      AND a.distance_km > 0)
ORDER BY asked.place, best.distance_km DESC

-- name: fan_out
-- A page of users who are to get the week's mail: the mails and their jobs, spread over %(spread)s,
-- or as far as the rate limit wants it: a job that came before its turn would run for nothing.
-- None leaves before the week is over where its person lives, and %(hour)s o'clock there.
-- A mail that was written before is not written again.
WITH page AS (
    SELECT id, zone FROM users
    WHERE id > %(after)s AND verified_at IS NOT NULL AND delete_after IS NULL
    ORDER BY id LIMIT %(limit)s
),
wanted AS (
    SELECT p.id FROM page p
    WHERE EXISTS (SELECT FROM activities a WHERE a.user_id = p.id AND a.deleted_at IS NULL
                  AND a.activity_date >= %(active_since)s)
      AND NOT EXISTS (SELECT FROM mail_preferences m
                      WHERE m.user_id = p.id AND m.list = 'weekly_summary' AND NOT m.wanted)
),
written AS (
    INSERT INTO mails (kind, user_id, dedup_key, message_id)
    SELECT 'weekly_summary', id, %(dedup_key)s, '<' || gen_random_uuid() || '@' || %(domain)s || '>'
    FROM wanted ON CONFLICT DO NOTHING RETURNING user_id
),
deferred AS (
    SELECT procrastinate_defer_jobs_v1(array_agg(ROW(
        %(queue)s, %(task)s, -1, NULL, NULL,
        jsonb_build_object('user_id', user_id, 'dedup_key', %(dedup_key)s),
        greatest(now() + random() * %(spread)s::interval,
                 now() + make_interval(secs => (%(queued)s + place) / %(per_second)s),
                 (%(until)s::date + make_interval(hours => %(hour)s)) AT TIME ZONE zone)
    )::procrastinate_job_to_defer_v1)) AS ids
    FROM (SELECT user_id, zone, row_number() OVER () AS place FROM written JOIN page ON id = user_id) AS numbered
)
SELECT (SELECT max(id) FROM page) AS last_id,
       coalesce((SELECT cardinality(ids) FROM deferred), 0) AS queued

-- name: request
-- The mail, its ticket and its job, for later.
WITH mail AS (
    INSERT INTO mails (kind, user_id, dedup_key, message_id)
    VALUES ('weekly_summary', %(user_id)s, %(dedup_key)s, %(message_id)s)
)
SELECT open_ticket_later(
    %(id)s, %(user_id)s, 'weekly summary', %(task)s, %(queue)s, %(args)s, %(at)s)

-- name: all_time
SELECT count(*)::integer AS activities, coalesce(sum(duration_minutes), 0)::bigint AS minutes,
       round(coalesce(sum(distance_km), 0)::numeric, 3)::double precision AS kilometres,
       coalesce(sum(calories), 0)::bigint AS calories,
       count(DISTINCT local_time::date)::integer AS days, min(local_time)::date AS first
FROM activities WHERE user_id = %(user_id)s AND deleted_at IS NULL

-- name: records
-- Of all time: the farthest and the longest activity, and the farthest of each of the usual types.
WITH mine AS (
    SELECT id, activity_type, duration_minutes AS minutes, distance_km AS kilometres,
           local_time::date AS day, title
    FROM activities WHERE user_id = %(user_id)s AND deleted_at IS NULL
),
types AS (SELECT activity_type FROM mine GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 3)
(SELECT 'longest' AS kind, mine.* FROM mine WHERE minutes > 0 ORDER BY minutes DESC, id LIMIT 1)
UNION ALL
(SELECT DISTINCT ON (activity_type) 'farthest', mine.* FROM mine JOIN types USING (activity_type)
 WHERE kilometres > 0 ORDER BY activity_type, kilometres DESC, mine.id)

-- name: streaks
-- Days in a row with an activity: the most there were, and those that reach to yesterday or today.
WITH islands AS (
    SELECT day, day - (row_number() OVER (ORDER BY day))::integer AS island FROM (
        SELECT DISTINCT local_time::date AS day FROM activities
        WHERE user_id = %(user_id)s AND deleted_at IS NULL AND local_time < %(today)s::date + 1) AS days
),
streaks AS (
    SELECT min(day) AS first, max(day) AS last, count(*)::integer AS days FROM islands GROUP BY island
)
(SELECT 'longest' AS kind, streaks.* FROM streaks ORDER BY days DESC, last DESC LIMIT 1)
UNION ALL
(SELECT 'current', streaks.* FROM streaks WHERE last >= %(today)s::date - 1)

-- name: share
INSERT INTO year_shares (user_id, year, token) VALUES (%(user_id)s, %(year)s, %(token)s)
ON CONFLICT DO NOTHING

-- name: share_token
SELECT token FROM year_shares WHERE user_id = %(user_id)s AND year = %(year)s

-- name: unshare
DELETE FROM year_shares WHERE user_id = %(user_id)s AND year = %(year)s

-- name: shared
SELECT u.id AS user_id, u.name, u.zone, u.units, u.week_start, s.year
FROM year_shares s JOIN users u ON u.id = s.user_id WHERE s.token = %(token)s
