-- Workers that may be waiting for a NOTIFY (that one is silent may be an outage's fault: they wait for
-- five minutes). It lets one transaction commit at a time, so it goes out only when there are such.
-- (A view that every insert looks at is not for replacing under load: it stands here.)
CREATE VIEW waiting_workers AS
    SELECT w.id FROM procrastinate_workers w
    WHERE w.last_heartbeat > now() - interval '10 minutes'
      AND NOT EXISTS (SELECT FROM busy_workers b WHERE b.worker_id = w.id);
GRANT SELECT ON waiting_workers TO PUBLIC;  -- whoever may enqueue
