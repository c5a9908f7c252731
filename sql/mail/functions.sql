-- Writes digests: a user who has one of the kind still waiting gets what is new with it. The job that
-- sends one starts _delay later. Returns how many it wrote.
--
-- A digest that is relied on is held until the caller's transaction is over: nobody sends it before
-- what it is to tell is there.
CREATE OR REPLACE FUNCTION write_digests(
    _users bigint[], _kind text, _task text, _queue text, _dedup_key text, _delay interval,
    _domain text
) RETURNS bigint LANGUAGE sql AS $$
    WITH waiting AS MATERIALIZED (
        SELECT m.user_id FROM mails m
        WHERE m.user_id = ANY (_users) AND m.kind = _kind AND m.state = 'queued'
          AND m.created_at > now() - interval '1 day'
        ORDER BY m.user_id, m.dedup_key FOR SHARE  -- in the order of those who claim
    ),
    written AS (
        INSERT INTO mails (kind, user_id, dedup_key, message_id)
        SELECT _kind, u.id, _dedup_key, '<' || gen_random_uuid() || '@' || _domain || '>'
        FROM unnest(_users) AS u (id)
        WHERE NOT EXISTS (SELECT FROM waiting w WHERE w.user_id = u.id)
        ON CONFLICT DO NOTHING RETURNING user_id
    )
    SELECT count(procrastinate_defer_jobs_v1(ARRAY[ROW(
        _queue, _task, 0, NULL, NULL,
        jsonb_build_object('user_id', user_id, 'dedup_key', _dedup_key), now() + _delay
    )::procrastinate_job_to_defer_v1])) FROM written
$$;

-- Ends of mails are counted, a row for each writer.
CREATE OR REPLACE FUNCTION on_mail_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mail_counts AS c (slot, kind, outcome, count)
    VALUES (pg_backend_pid() % 64, NEW.kind, NEW.state, 1)
    ON CONFLICT (slot, kind, outcome) DO UPDATE SET count = c.count + 1;
    RETURN NULL;
END;
$$;
