-- name: totals
SELECT count(*)::integer AS activities,
       coalesce(sum(duration_minutes), 0)::bigint AS minutes,
       coalesce(sum(distance_km), 0)::double precision AS kilometres,
       coalesce(sum(calories), 0)::bigint AS calories,
       count(DISTINCT local_time::date)::integer AS days
FROM selected_activities(
    %(user_id)s, %(start)s, %(until)s, %(first_day)s, %(until_day)s, %(type)s, %(tag)s)

-- name: slots
-- By day, week or month, those without an activity left out. Weeks begin %(shift)s days before Monday.
SELECT date_trunc(%(unit)s, local_time + make_interval(days => %(shift)s))::date - %(shift)s AS first,
       count(*)::integer AS activities,
       sum(duration_minutes)::bigint AS minutes,
       sum(distance_km)::double precision AS kilometres
FROM selected_activities(
    %(user_id)s, %(start)s, %(until)s, %(first_day)s, %(until_day)s, %(type)s, %(tag)s)
GROUP BY 1 ORDER BY 1

-- name: types
-- The first %(limit)s; where there are more, the last one stands for all others.
WITH types AS (
    SELECT activity_type, count(*) AS activities, sum(duration_minutes) AS minutes,
           sum(distance_km) AS kilometres,
           row_number() OVER (ORDER BY sum(duration_minutes) DESC, count(*) DESC, activity_type) AS place
    FROM selected_activities(
    %(user_id)s, %(start)s, %(until)s, %(first_day)s, %(until_day)s, %(type)s, %(tag)s)
    GROUP BY activity_type
)
SELECT CASE count(*) WHEN 1 THEN min(activity_type) ELSE count(*) || ' other types' END AS activity_type,
       sum(activities)::integer AS activities, sum(minutes)::bigint AS minutes,
       sum(kilometres)::double precision AS kilometres
FROM types GROUP BY least(place, %(limit)s) ORDER BY least(place, %(limit)s)

-- name: rows
-- (Of notes as much as a line of a table can show.)
SELECT local_time, activity_type, duration_minutes, distance_km, tags, title, left(notes, 400) AS notes
FROM selected_activities(
    %(user_id)s, %(start)s, %(until)s, %(first_day)s, %(until_day)s, %(type)s, %(tag)s)
ORDER BY local_time, id LIMIT %(limit)s

-- name: person
SELECT name, units, week_start FROM users WHERE id = %(user_id)s

-- name: photos
SELECT p.object_key, a.activity_type, a.local_time
FROM selected_activities(
    %(user_id)s, %(start)s, %(until)s, %(first_day)s, %(until_day)s, %(type)s, %(tag)s) AS a
JOIN photos p ON p.activity_id = a.id
ORDER BY a.local_time, p.created_at, p.id LIMIT %(limit)s
