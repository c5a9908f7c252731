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

-- A failed export is counted and told of by mail, also when its job killed its workers.
CREATE OR REPLACE FUNCTION on_export_jobs_failed() RETURNS trigger LANGUAGE plpgsql
SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM new_jobs WHERE status = 'failed' AND task_name = 'activelog.exports.generate') THEN
        PERFORM count_export(t.id, 'failed'), procrastinate_defer_jobs_v1(ARRAY[ROW(
            'default', 'activelog.exports.announce_failure', 0, NULL, NULL,
            jsonb_build_object('user_id', t.user_id, 'ticket_id', t.id), NULL
        )::procrastinate_job_to_defer_v1])
        FROM job_tickets t
        WHERE t.cancelled_at IS NULL AND t.job_id = ANY (ARRAY(
            SELECT id FROM new_jobs
            WHERE status = 'failed' AND task_name = 'activelog.exports.generate'));
    END IF;
    RETURN NULL;
END;
$$;

-- What a mail was to tell and did not, the next one tells.
CREATE OR REPLACE FUNCTION on_export_mail_failed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE exports SET mail_id = NULL WHERE mail_id = NEW.id AND mail_id > 0;
    RETURN NULL;
END;
$$;
