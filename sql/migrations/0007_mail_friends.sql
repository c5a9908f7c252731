-- Mails that are not wanted, not possible or not yet due; and the friends whom some are about.
ALTER TABLE mails DROP CONSTRAINT mails_state_check;
ALTER TABLE mails ADD CONSTRAINT mails_state_check
    CHECK (state IN ('queued', 'sending', 'sent', 'skipped', 'suppressed', 'failed'));
-- The cap of a kind is counted here, and open digests are found.
CREATE INDEX mails_recent ON mails (user_id, kind, created_at);

-- What a person said about a list of mails; without a row they get it.
CREATE TABLE mail_preferences (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    list text NOT NULL,
    wanted boolean NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, list)
);

-- Addresses that a relay refused for good: nothing is sent there until somebody deletes the row.
CREATE TABLE suppressed_addresses (
    address text PRIMARY KEY,               -- in lower case
    answer text NOT NULL,                   -- what the relay said
    created_at timestamptz NOT NULL DEFAULT now()
);

-- When the next mail may go out, for all workers together. A permit is a moment in time that moves
-- on by itself, so one that a crashed worker took is not missing afterwards.
CREATE TABLE mail_pace (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    next_at timestamptz NOT NULL
);
INSERT INTO mail_pace (next_at) VALUES (now());

CREATE TABLE friend_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    to_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'accepted', 'declined')),
    mail_id bigint,                         -- the mail that told of it
    created_at timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz,
    CHECK (from_id <> to_id)
);
CREATE UNIQUE INDEX friend_requests_once ON friend_requests (from_id, to_id) WHERE state = 'pending';
CREATE INDEX friend_requests_to ON friend_requests (to_id, id) WHERE state = 'pending';
CREATE INDEX friend_requests_mail ON friend_requests (mail_id) WHERE mail_id IS NOT NULL;

-- Both directions of a friendship, so that everybody's friends stand together.
CREATE TABLE friendships (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    friend_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, friend_id)
);
CREATE INDEX friendships_friend ON friendships (friend_id);

CREATE TABLE blocks (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    blocked_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, blocked_id)
);
CREATE INDEX blocks_blocked ON blocks (blocked_id);

CREATE TABLE notifications (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('friend_request', 'friend_accepted', 'friend_activity')),
    actor_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    activity_id bigint REFERENCES activities ON DELETE CASCADE,
    request_id bigint REFERENCES friend_requests ON DELETE CASCADE,
    mail_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    read_at timestamptz
);
CREATE INDEX notifications_user ON notifications (user_id, id DESC);
CREATE UNIQUE INDEX notifications_once ON notifications (user_id, activity_id)
    WHERE activity_id IS NOT NULL;
CREATE INDEX notifications_unmailed ON notifications (user_id, id)
    WHERE kind = 'friend_activity' AND mail_id IS NULL;
CREATE INDEX notifications_mail ON notifications (mail_id) WHERE mail_id IS NOT NULL;
CREATE INDEX notifications_actor ON notifications (actor_id);
CREATE INDEX notifications_activity ON notifications (activity_id) WHERE activity_id IS NOT NULL;
CREATE INDEX notifications_request ON notifications (request_id) WHERE request_id IS NOT NULL;

-- Writes mails that gather: a user who has one of the kind still waiting gets what is new with it.
-- The job that sends one starts _delay later. Returns how many it wrote.
CREATE FUNCTION gather_mails(
    _users bigint[], _kind text, _task text, _queue text, _occasion text, _delay interval,
    _domain text
) RETURNS bigint LANGUAGE sql AS $$
    WITH written AS (
        INSERT INTO mails (kind, user_id, occasion, message_id)
        SELECT _kind, u.id, _occasion, '<' || gen_random_uuid() || '@' || _domain || '>'
        FROM unnest(_users) AS u (id)
        WHERE NOT EXISTS (SELECT FROM mails m WHERE m.user_id = u.id AND m.kind = _kind
                          AND m.state = 'queued' AND m.created_at > now() - interval '1 day')
        ON CONFLICT DO NOTHING RETURNING user_id
    )
    SELECT count(procrastinate_defer_jobs_v1(ARRAY[ROW(
        _queue, _task, 0, NULL, NULL,
        jsonb_build_object('user_id', user_id, 'occasion', _occasion), now() + _delay
    )::procrastinate_job_to_defer_v1])) FROM written
$$;
