-- Years that people show to others: whoever has the link, until it is taken back.
CREATE TABLE year_shares (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    year smallint NOT NULL,
    token text COLLATE "C" NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, year)
);
