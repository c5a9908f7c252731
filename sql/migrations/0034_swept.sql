-- Where the nightly look for objects that no row needs goes on: behind this key.
CREATE TABLE swept (
    folder text PRIMARY KEY,
    until text NOT NULL
);
