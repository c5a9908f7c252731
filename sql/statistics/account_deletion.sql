-- name: account_statistics
-- Before the activities, which say on which days to look.
WITH stale AS (DELETE FROM stale_days WHERE user_id = ANY (%(user_ids)s))
DELETE FROM daily_stats WHERE user_id = ANY (%(user_ids)s)
  AND day IN (SELECT DISTINCT local_time::date FROM activities
              WHERE user_id = ANY (%(user_ids)s))
