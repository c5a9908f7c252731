-- Which column is what in a person's own tables, as they once said; by a digest of the header.
CREATE TABLE import_columns (
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    header text COLLATE "C" NOT NULL,
    columns text NOT NULL,
    said_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, header)
);
