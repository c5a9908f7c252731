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

-- Whether the relay refuses most of the last mails: then it or we are the fault, and no address. Those that
-- wait for it count, too; those that failed for a reason of ours do not.
CREATE OR REPLACE FUNCTION most_mails_are_refused() RETURNS boolean STABLE LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE state <> 'sent') * 2 > count(*) AND count(*) >= 5 FROM (
        SELECT state FROM mails
        WHERE (state = 'sent' OR state = 'failed' OR state = 'queued' AND answer LIKE '5%')
          AND (state <> 'failed' OR coalesce(answer, '5') LIKE '5%')
          AND coalesce(finished_at, claimed_at) > now() - interval '1 hour'
        ORDER BY coalesce(finished_at, claimed_at) DESC LIMIT 100
    ) AS latest
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

-- Seconds until a mail of a lane may go out under the rate limit. When that is longer than _patience
-- the mail keeps its turn and comes back for it; else it counts as sent.
--
-- A turn is a reservation: a lane's turns are as far apart as its share of the rate, or as the whole
-- rate while no other lane has turns ahead. So mails of the critical lane never wait for those of
-- another one; those of the others wait, too, until what was sent allows for one more.
CREATE OR REPLACE FUNCTION mail_turn(
    _mail_id bigint, _lane text, _per_second double precision, _patience double precision
) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
    _turn timestamptz := (SELECT turn_at FROM mails WHERE id = _mail_id);
    _pace mail_pace;
    _sent timestamptz;
    _now timestamptz;
    _seconds double precision;
BEGIN
    PERFORM FROM mail_pace ORDER BY lane FOR UPDATE;
    _now := clock_timestamp();
    SELECT greatest(next_at, _now - interval '1 second') INTO _sent FROM mail_pace WHERE lane = 'all';
    -- A turn that is missed, or that what was sent has overtaken, is taken anew, at the end: or all that
    -- are late would come back together again and again.
    IF _turn IS NULL OR (_lane <> 'critical' AND _sent > greatest(_turn, _now + make_interval(secs => _patience))) THEN
        SELECT * INTO _pace FROM mail_pace WHERE lane = _lane;
        IF NOT EXISTS (SELECT FROM mail_pace WHERE lane NOT IN ('all', _lane) AND next_at > _now) THEN
            _pace.share := 1;
        END IF;
        _turn := greatest(_pace.next_at, _now - interval '1 second',
                          CASE WHEN _lane <> 'critical' THEN _sent END);
        UPDATE mail_pace SET next_at = _turn + make_interval(secs => 1 / (_per_second * _pace.share))
        WHERE lane = _lane;
    END IF;
    IF _lane <> 'critical' THEN
        _turn := greatest(_turn, _sent);
    END IF;
    _seconds := greatest(0, extract(epoch FROM _turn - _now));
    IF _seconds <= _patience THEN
        UPDATE mail_pace SET next_at = _sent + make_interval(secs => 1 / _per_second) WHERE lane = 'all';
        UPDATE mails SET turn_at = NULL WHERE id = _mail_id AND turn_at IS NOT NULL;
    ELSE
        UPDATE mails SET turn_at = _turn WHERE id = _mail_id;
    END IF;
    RETURN _seconds;
END;
$$;
