-- A mail is claimed by one job at a time. (Two that asked for it at once both sent it.)
ALTER TABLE mails ADD COLUMN job_id bigint;  -- the one that claimed it last

-- As in 0007_mail_friends.sql, and the mail that is relied on is held until the caller's transaction
-- is over: nobody sends it before what it is to tell is there.
CREATE OR REPLACE FUNCTION gather_mails(
    _users bigint[], _kind text, _task text, _queue text, _occasion text, _delay interval,
    _domain text
) RETURNS bigint LANGUAGE sql AS $$
    WITH waiting AS MATERIALIZED (
        SELECT m.user_id FROM mails m
        WHERE m.user_id = ANY (_users) AND m.kind = _kind AND m.state = 'queued'
          AND m.created_at > now() - interval '1 day'
        ORDER BY m.user_id, m.occasion FOR SHARE  -- in the order of those who claim
    ),
    written AS (
        INSERT INTO mails (kind, user_id, occasion, message_id)
        SELECT _kind, u.id, _occasion, '<' || gen_random_uuid() || '@' || _domain || '>'
        FROM unnest(_users) AS u (id)
        WHERE NOT EXISTS (SELECT FROM waiting w WHERE w.user_id = u.id)
        ON CONFLICT DO NOTHING RETURNING user_id
    )
    SELECT count(procrastinate_defer_jobs_v1(ARRAY[ROW(
        _queue, _task, 0, NULL, NULL,
        jsonb_build_object('user_id', user_id, 'occasion', _occasion), now() + _delay
    )::procrastinate_job_to_defer_v1])) FROM written
$$;

-- What a mail was to tell and did not, the next one tells.
CREATE FUNCTION on_mail_failed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE friend_requests SET mail_id = NULL WHERE mail_id = NEW.id;
    UPDATE notifications SET mail_id = NULL WHERE mail_id = NEW.id;
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_mail_failed AFTER UPDATE OF state ON mails FOR EACH ROW
    WHEN (NEW.state = 'failed' AND NEW.kind IN ('friend_request', 'friend_activity'))
    EXECUTE FUNCTION on_mail_failed();

-- A ticket that is deleted before its job has ended leaves a place in its line.
CREATE FUNCTION on_tickets_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM advance_line(left_by.line) FROM (
        SELECT DISTINCT line FROM old_tickets
        WHERE line IS NOT NULL AND completed_at IS NULL ORDER BY line
    ) AS left_by;
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_tickets_deleted AFTER DELETE ON job_tickets
    REFERENCING OLD TABLE AS old_tickets FOR EACH STATEMENT EXECUTE FUNCTION on_tickets_deleted();

-- A text as a spreadsheet shows it: one that it would take for a formula gets a ' in front, and so
-- does one that has such a ' already; the import takes exactly one off. (Looking at the first
-- letter's number first spares most texts the regular expression.)
CREATE FUNCTION guarded(_text text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN ascii(_text) BETWEEN 9 AND 64 AND _text ~ '^''*[=+\-@\t\r\n]'
                THEN '''' || _text ELSE _text END
$$;
