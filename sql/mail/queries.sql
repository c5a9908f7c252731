-- name: write
-- The mail and the job that sends it; neither when that mail was written before.
WITH mail AS (
    INSERT INTO mails (kind, user_id, dedup_key, message_id, address)
    VALUES (%(kind)s, %(user_id)s, %(dedup_key)s, %(message_id)s, %(address)s)
    ON CONFLICT DO NOTHING RETURNING id
)
SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
    %(queue)s, %(task)s, 0, NULL, NULL, %(args)s, NULL
)::procrastinate_job_to_defer_v1])) FROM mail

-- name: write_digests
SELECT write_digests(%(user_ids)s, %(kind)s, %(task)s, %(queue)s, %(dedup_key)s, %(delay)s, %(domain)s)

-- name: write_gathered
-- As write, for a mail that tells all that is new: none while one of the kind waits, and it leaves
-- %(pause)s after the last one at the earliest. One that is relied on is held until the caller's
-- transaction is over, as in write_digests.
WITH waiting AS MATERIALIZED (
    SELECT FROM mails
    WHERE user_id = %(user_id)s AND kind = %(kind)s AND state = 'queued'
      AND created_at > now() - interval '1 day'
    FOR SHARE
),
latest AS (
    SELECT max(coalesce(finished_at, created_at)) + %(pause)s AS next_at FROM mails
    WHERE user_id = %(user_id)s AND kind = %(kind)s AND created_at > now() - interval '1 day'
),
mail AS (
    INSERT INTO mails (kind, user_id, dedup_key, message_id)
    SELECT %(kind)s, %(user_id)s, %(dedup_key)s, %(message_id)s
    WHERE NOT EXISTS (SELECT FROM waiting)
    ON CONFLICT DO NOTHING RETURNING id
)
SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW(
    %(queue)s, %(task)s, 0, NULL, NULL, %(args)s, CASE WHEN next_at > now() THEN next_at END
)::procrastinate_job_to_defer_v1])) FROM mail, latest

-- name: claim
-- Also for jobs that were deferred by hand and have no mail yet, and for one that failed and runs again
-- because somebody retried it. No row where the account is gone, the
-- mail has its end already or another job is sending it (also one that began behind this snapshot); a
-- state other than `sending` is its end now.
-- When a suppression is over, a mail that nobody subscribed to tries the address first, for a week.
WITH wanted AS (
    SELECT DISTINCT ON (user_id, kind, dedup_key) * FROM jsonb_to_recordset(%(wanted)s) AS w (
        kind text, user_id bigint, dedup_key text, job_id bigint, message_id text, list text,
        cap integer)
    ORDER BY user_id, kind, dedup_key, job_id
),
recipient AS (
    -- Of an unverified account the name is left out: a stranger may have typed it.
    SELECT w.*, u.units, u.language, CASE WHEN u.verified_at IS NOT NULL THEN u.name ELSE '' END AS name,
           coalesce(m.address, u.email) AS email,
           coalesce(s.until > now() - CASE WHEN w.list IS NULL THEN interval '0' ELSE '7 days' END,
                    false) AS suppressed,
           s.until IS NOT NULL AS was_refused,
           u.verified_at IS NULL AND EXISTS (
               SELECT FROM users o
               WHERE lower(o.email) = lower(u.email) AND o.verified_at IS NOT NULL) AS anothers,
           w.list IS NOT NULL AND EXISTS (
               SELECT FROM mail_preferences p
               WHERE p.user_id = u.id AND p.list = w.list AND NOT p.wanted) AS unwanted,
           w.cap IS NOT NULL AND (
               SELECT count(*) FROM mails m
               WHERE m.user_id = u.id AND m.kind = w.kind AND m.state = 'sent'
                 AND m.created_at > now() - interval '1 day') >= w.cap AS enough
    FROM wanted w JOIN users u ON u.id = w.user_id LEFT JOIN mails m USING (user_id, kind, dedup_key)
    LEFT JOIN suppressed_addresses s ON s.address = lower(coalesce(m.address, u.email))
),
verdict AS (
    SELECT *, CASE WHEN suppressed THEN 'suppressed' WHEN anothers OR unwanted OR enough THEN 'skipped'
                   ELSE 'sending' END AS state,
              CASE WHEN suppressed THEN 'the address was refused before'
                   WHEN anothers THEN 'the address has another account'
                   WHEN unwanted THEN 'not wanted' WHEN enough THEN 'enough of these today' END AS answer
    FROM recipient
),
claimed AS (
    INSERT INTO mails AS m (kind, user_id, dedup_key, job_id, message_id, state, answer, attempts,
                            claimed_at, finished_at)
    SELECT kind, user_id, dedup_key, job_id, message_id, state, answer, (state = 'sending')::integer,
           now(), CASE WHEN state <> 'sending' THEN now() END
    FROM verdict ORDER BY user_id, kind, dedup_key
    ON CONFLICT (user_id, kind, dedup_key) DO UPDATE
        SET state = excluded.state, answer = coalesce(excluded.answer, m.answer), claimed_at = now(),
            attempts = m.attempts + excluded.attempts, finished_at = excluded.finished_at,
            job_id = excluded.job_id
        WHERE m.state = 'queued' OR m.state = 'failed' AND m.job_id = excluded.job_id OR m.state = 'sending' AND (
            m.job_id = excluded.job_id OR (m.claimed_at > now()) IS NOT TRUE AND NOT EXISTS (
                SELECT FROM procrastinate_jobs j WHERE j.id = m.job_id AND j.status = 'doing'))
    RETURNING m.id, m.message_id, m.state, m.kind, m.user_id, m.dedup_key, m.job_id, m.attempts
)
SELECT c.id, c.message_id, c.state, r.name, r.email, c.kind, c.user_id, c.dedup_key, c.job_id, r.units,
       r.language, r.was_refused, c.attempts
FROM claimed c JOIN recipient r USING (kind, user_id, dedup_key)

-- name: finish
UPDATE mails SET state = e.state, answer = e.answer, size = e.size, domain_turn_at = NULL,
    finished_at = CASE WHEN e.state <> 'queued' THEN now() END
FROM jsonb_to_recordset(%(outcomes)s) AS e (
    mail_id bigint, state text, answer text, size integer, attempts integer)
WHERE mails.id = e.mail_id AND mails.state = 'sending'
  -- What a run that was thought dead says late is of no later run, unless the mail has left.
  AND (e.state = 'sent' OR mails.attempts = coalesce(e.attempts, mails.attempts))

-- name: unclaim
-- It was not its turn yet: as if it had not been claimed.
UPDATE mails SET state = 'queued', attempts = attempts - 1
WHERE id = %(id)s AND state = 'sending' AND attempts = coalesce(%(attempts)s, attempts)

-- name: suppress
INSERT INTO suppressed_addresses (address, answer) VALUES (lower(%(address)s::text COLLATE "C"), %(answer)s)
ON CONFLICT (address) DO UPDATE
    SET answer = excluded.answer, created_at = now(), until = now() + interval '90 days'

-- name: note_bounce
-- By its own return path, or by the Message-ID that the report quotes. What was worse stays: a delay does
-- not hide that the mailbox is dead.
UPDATE mails m SET bounce = CASE WHEN m.bounce IN ('hard', 'complaint') THEN m.bounce ELSE %(bounce)s END,
    bounce_said = CASE WHEN m.bounce IN ('hard', 'complaint') THEN m.bounce_said ELSE %(said)s END,
    bounced_at = coalesce(m.bounced_at, now())
FROM users u
WHERE u.id = m.user_id AND m.id = coalesce(%(id)s, (
    SELECT id FROM mails WHERE message_id = %(message_id)s AND %(message_id)s <> '' LIMIT 1))
RETURNING m.id, m.kind, m.user_id, coalesce(m.address, u.email) AS address

-- name: most_are_refused
SELECT most_mails_are_refused()

-- name: lift_latest
-- What the relay said of them when it began to refuse most mails was of no mailbox. (What came back later,
-- as a report, was.)
DELETE FROM suppressed_addresses WHERE created_at > now() - interval '1 hour' AND answer LIKE '___ RCPT: %%'

-- name: is_refused_again
-- Whether a mail to this address that was written at another time was refused with the same words before,
-- while others arrived within the hour: some of its domain, or, when nobody else hears the same, any.
WITH others AS MATERIALIZED (
    SELECT m.state, m.answer, lower(coalesce(m.address, u.email)) AS address
    FROM (SELECT * FROM mails
          WHERE (state = 'sent' OR state = 'failed' OR state = 'queued' AND answer LIKE '5%%')
            AND coalesce(finished_at, claimed_at) > now() - interval '1 hour'
          ORDER BY coalesce(finished_at, claimed_at) DESC LIMIT 1000) AS m
    JOIN users u ON u.id = m.user_id
    WHERE lower(coalesce(m.address, u.email)) <> lower(%(address)s)
)
SELECT EXISTS (
    SELECT FROM mails m JOIN mails before USING (user_id)
    WHERE m.id = %(id)s AND before.created_at < m.created_at
      AND before.state = 'failed' AND before.answer = %(answer)s
      AND before.address IS NOT DISTINCT FROM m.address
) AND (
    EXISTS (SELECT FROM others WHERE state = 'sent'
            AND split_part(address, '@', 2) = split_part(lower(%(address)s), '@', 2))
    OR EXISTS (SELECT FROM others WHERE state = 'sent')
        AND NOT EXISTS (SELECT FROM others WHERE state = 'failed' AND answer = %(answer)s)
)

-- name: unsuppress
DELETE FROM suppressed_addresses WHERE address = lower(%(address)s::text COLLATE "C")

-- name: slow_domains
SELECT domain FROM mail_domains

-- name: slow_domain
-- Twice as slow each time, five minutes at most. What many mails hear at once counts once.
INSERT INTO mail_domains AS d (domain, seconds, next_at, answer)
VALUES (%(domain)s, 1, now() + interval '1 second', %(answer)s)
ON CONFLICT (domain) DO UPDATE
    SET seconds = least(300, 2 * d.seconds), answer = excluded.answer, slowed_at = now(),
        next_at = greatest(d.next_at, now() + make_interval(secs => least(300, 2 * d.seconds)))
    WHERE d.slowed_at < now() - make_interval(secs => least(d.seconds, 30))

-- name: speed_domain
-- A fifth faster with each mail that is taken, until it is as fast as any other.
WITH faster AS (
    UPDATE mail_domains SET seconds = 0.8 * seconds WHERE domain = %(domain)s RETURNING domain, seconds
)
DELETE FROM mail_domains d USING faster f WHERE d.domain = f.domain AND f.seconds < 0.1

-- name: take_domain_turn
-- Seconds until the mail may go; it keeps its turn until it is sent or has to come again.
WITH moved AS (
    UPDATE mail_domains SET next_at = greatest(next_at, now()) + make_interval(secs => seconds)
    WHERE domain = %(domain)s
      AND (SELECT domain_turn_at IS NULL FROM mails WHERE id = %(id)s)
    RETURNING next_at - make_interval(secs => seconds) AS turn_at
),
kept AS (
    UPDATE mails SET domain_turn_at = moved.turn_at FROM moved WHERE id = %(id)s
)
SELECT coalesce(extract(epoch FROM coalesce((SELECT domain_turn_at FROM mails WHERE id = %(id)s),
                                            (SELECT turn_at FROM moved)) - now()), 0)

-- name: take_turn
SELECT mail_turn(%(id)s, %(lane)s, %(per_second)s, %(patience)s)

-- name: preferences
SELECT list, wanted FROM mail_preferences WHERE user_id = %(user_id)s

-- name: set_preferences
INSERT INTO mail_preferences (user_id, list, wanted)
SELECT %(user_id)s, p.list, p.wanted
FROM unnest(%(lists)s::text[], %(wanted)s::boolean[]) AS p (list, wanted)
ON CONFLICT (user_id, list) DO UPDATE SET wanted = excluded.wanted, changed_at = now()

-- name: has_user
SELECT EXISTS (SELECT FROM users WHERE id = %(user_id)s)
