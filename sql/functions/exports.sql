-- What becomes of exports is counted where it happens, whoever makes it happen.

CREATE OR REPLACE FUNCTION count_export(_id uuid, _outcome text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO export_counts AS c (slot, format, outcome, count)
    SELECT pg_backend_pid() % 64, format, _outcome, 1 FROM exports WHERE id = _id
    ON CONFLICT (slot, format, outcome) DO UPDATE SET count = c.count + 1
$$;

CREATE OR REPLACE FUNCTION on_export_requested() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_export(NEW.id, 'requested');
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION on_export_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_export(NEW.id, CASE WHEN NEW.completed_at IS NULL THEN 'cancelled' ELSE 'completed' END);
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION on_export_removed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_export(NEW.id, 'expired');
    RETURN NULL;
END;
$$;
