-- name: retire_jobs
-- One page: deletes those of its jobs that ended long enough ago. No last_id: the walk is over,
-- since there are no more jobs or they were deferred too lately to be old.
WITH page AS (
    SELECT j.id, j.status,
           (SELECT max(e.at) FROM procrastinate_events e
            WHERE e.job_id = j.id AND e.type <> 'scheduled') AS ended_at
    FROM procrastinate_jobs j WHERE j.id > %(after)s ORDER BY j.id LIMIT %(page)s
),
retired AS (
    DELETE FROM procrastinate_jobs j USING page p
    WHERE j.id = p.id AND p.ended_at < now() - CASE
        WHEN p.status = 'succeeded' THEN make_interval(days => %(succeeded_days)s)
        WHEN p.status IN ('failed', 'aborted', 'cancelled')
            THEN make_interval(days => %(failed_days)s) END
    RETURNING j.id
),
first AS (
    SELECT min(e.at) AS deferred_at FROM procrastinate_events e
    WHERE e.job_id = (SELECT min(id) FROM page) AND e.type = 'deferred'
)
SELECT CASE WHEN first.deferred_at
                 > now() - make_interval(days => least(%(succeeded_days)s, %(failed_days)s))
            THEN NULL ELSE (SELECT max(id) FROM page) END AS last_id,
       (SELECT count(*) FROM retired) AS deleted
FROM first

-- name: close_accounts
-- A page of accounts whose time has come. From here on nobody can sign in and restore them, so what
-- is theirs can go bit by bit; those that a crash left half deleted are found again.
WITH closed AS (
    UPDATE users SET verified_at = NULL WHERE id IN (
        SELECT id FROM users WHERE delete_after < %(now)s ORDER BY delete_after LIMIT %(page)s
        FOR UPDATE SKIP LOCKED)
    RETURNING id
)
INSERT INTO session_endings (user_id) SELECT id FROM closed RETURNING user_id

-- name: delete_accounts
DELETE FROM users WHERE id = ANY (%(user_ids)s)

-- name: swept_until
SELECT until FROM swept WHERE folder = %(folder)s

-- name: note_swept
INSERT INTO swept (folder, until) VALUES (%(folder)s, %(until)s)
ON CONFLICT (folder) DO UPDATE SET until = excluded.until
