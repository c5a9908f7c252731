-- name: mails_given_up
-- Those that wait for a day and whose job is gone: cancelled, deleted, or it killed its workers.
UPDATE mails SET state = 'failed', answer = 'its job ended without it', finished_at = now()
WHERE id IN (
    SELECT m.id FROM mails m
    WHERE m.state IN ('queued', 'sending') AND m.created_at < %(now)s::timestamptz - interval '1 day'
      AND NOT EXISTS (SELECT FROM procrastinate_jobs j WHERE j.status IN ('todo', 'doing')
                      AND j.args->>'user_id' = m.user_id::text)
    ORDER BY m.created_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)

-- name: mails
-- The oldest, by their ids: an index on the date would cost each mail more than this does.
DELETE FROM mails WHERE id IN (
    SELECT id FROM mails WHERE id IN (SELECT id FROM mails ORDER BY id LIMIT %(page)s)
      AND created_at < %(now)s::timestamptz - interval '400 days' FOR UPDATE SKIP LOCKED)

-- name: suppressed_addresses
-- Long enough that a second refusal is known for one.
DELETE FROM suppressed_addresses WHERE address IN (
    SELECT address FROM suppressed_addresses WHERE until < %(now)s::timestamptz - interval '90 days'
    ORDER BY until LIMIT %(page)s FOR UPDATE SKIP LOCKED)
