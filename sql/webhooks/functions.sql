-- A delivery and its job for each of somebody's webhooks that wants the event; none for one behind which
-- a thousand wait already. The jobs of one person run one after another.
CREATE OR REPLACE FUNCTION queue_webhooks(_user_id bigint, _event text, _subject text)
RETURNS void LANGUAGE sql AS $$
    WITH made AS (
        INSERT INTO webhook_deliveries (webhook_id, user_id, event, subject)
        SELECT w.id, w.user_id, _event, _subject FROM webhooks w
        WHERE w.user_id = _user_id AND _event = ANY (w.events) AND w.disabled_at IS NULL
          AND NOT EXISTS (SELECT FROM webhook_deliveries d
                          WHERE d.webhook_id = w.id AND d.state = 'queued' OFFSET 999)
        RETURNING id
    )
    SELECT procrastinate_defer_jobs_v1(array_agg(ROW(
        'low', 'activelog.webhooks.deliver', 0, 'webhooks of ' || _user_id, NULL,
        jsonb_build_object('delivery_id', id), NULL)::procrastinate_job_to_defer_v1))
    FROM made HAVING count(*) > 0
$$;

-- Of what comes one by one; an import of very many rows is no hundred thousand events.
CREATE OR REPLACE FUNCTION on_activities_for_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM new_rows n WHERE EXISTS (SELECT FROM webhooks w WHERE w.user_id = n.user_id))
       AND NOT EXISTS (SELECT FROM new_rows OFFSET 100) THEN
        PERFORM queue_webhooks(user_id, 'activity.created', id::text) FROM new_rows;
    END IF;
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION on_export_for_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM queue_webhooks(NEW.user_id, 'export.completed', NEW.id::text);
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION on_report_for_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM queue_webhooks(NEW.user_id, 'report.ready', to_char(NEW.month, 'YYYY-MM'));
    RETURN NULL;
END;
$$;
