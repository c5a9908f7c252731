-- Python's zones may be newer than Postgres': one that this server does not know would fail every
-- statement that reads it, and with it the mails and reports of all others.
CREATE OR REPLACE FUNCTION on_zone_said() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM now() AT TIME ZONE NEW.zone;
    RETURN NEW;
EXCEPTION WHEN invalid_parameter_value THEN
    NEW.zone := 'UTC';
    RETURN NEW;
END;
$$;
