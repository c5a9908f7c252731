-- Names that Postgres does not know.
UPDATE users SET zone = 'UTC' WHERE zone NOT IN (SELECT name FROM pg_timezone_names);
