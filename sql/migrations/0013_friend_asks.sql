-- Which addresses somebody has asked to be friends, whether they have an account or not: so that a list
-- of them tells nobody who is there.
CREATE TABLE friend_asks (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    email text COLLATE "C" NOT NULL,            -- in small letters
    asked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, email)
);
CREATE INDEX friend_asks_asked ON friend_asks (asked_at);
