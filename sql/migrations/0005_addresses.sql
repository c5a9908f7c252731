-- Small letters are those of ASCII, whatever the cluster's locale: in Turkish `I` is the capital of
-- another letter, and INFO@… and info@… were two addresses.
ALTER TABLE users ALTER COLUMN email TYPE text COLLATE "C";
ALTER TABLE password_resets ALTER COLUMN email TYPE text COLLATE "C";
