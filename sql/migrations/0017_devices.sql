-- By what a session's browser or program is known again, and from where a new password was asked for.
ALTER TABLE sessions ADD COLUMN device text COLLATE "C";
ALTER TABLE password_resets ADD COLUMN asked_from text;
