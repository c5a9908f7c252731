ALTER TABLE imports ADD COLUMN dry_run boolean NOT NULL DEFAULT false;

-- Pictures of activities; the objects lie under photos/{user_id}/{id}.jpg, cleaned of what they
-- tell beside the picture.
CREATE TABLE photos (
    id uuid PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    activity_id bigint NOT NULL REFERENCES activities ON DELETE CASCADE,
    object_key text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    size integer NOT NULL,                  -- bytes
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX photos_activity ON photos (activity_id, created_at, id);
CREATE INDEX photos_user ON photos (user_id);
