-- How many mails of a kind ended how; a line of its own for each writer, so that nobody waits.
CREATE TABLE mail_counts (
    slot integer NOT NULL,
    kind text NOT NULL,
    outcome text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (slot, kind, outcome)
);

CREATE FUNCTION on_mail_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO mail_counts AS c (slot, kind, outcome, count)
    VALUES (pg_backend_pid() % 64, NEW.kind, NEW.state, 1)
    ON CONFLICT (slot, kind, outcome) DO UPDATE SET count = c.count + 1;
    RETURN NULL;
END;
$$;
CREATE TRIGGER on_mail_ended AFTER INSERT OR UPDATE OF state ON mails FOR EACH ROW
    WHEN (NEW.state IN ('sent', 'skipped', 'suppressed', 'failed')) EXECUTE FUNCTION on_mail_ended();
CREATE INDEX mails_waiting ON mails (created_at) WHERE state IN ('queued', 'sending');

CREATE AGGREGATE sum_arrays(bigint[]) (SFUNC = add_arrays, STYPE = bigint[], INITCOND = '{}');
