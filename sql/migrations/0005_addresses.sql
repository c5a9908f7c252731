-- Small letters are those of ASCII, whatever the cluster's locale: in Turkish `I` is the capital of
-- another letter, and INFO@… and info@… were two addresses.
DO $$
DECLARE
    _twins text := (SELECT string_agg(ids, '; ') FROM (
        SELECT string_agg(id::text, ', ' ORDER BY id) AS ids FROM users WHERE verified_at IS NOT NULL
        GROUP BY lower(email COLLATE "C") HAVING count(*) > 1) AS twins);
BEGIN
    IF _twins IS NOT NULL THEN
        RAISE 'these accounts have one address, close all but one of each: %', _twins;
    END IF;
END;
$$;
ALTER TABLE users ALTER COLUMN email TYPE text COLLATE "C";
ALTER TABLE password_resets ALTER COLUMN email TYPE text COLLATE "C";
ALTER TABLE suppressed_addresses ALTER COLUMN address TYPE text COLLATE "C";
