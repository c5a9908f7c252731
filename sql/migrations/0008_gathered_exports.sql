-- The mail that told of an export; NULL while none has. Those that are there were told of one by one.
ALTER TABLE exports ADD COLUMN mail_id bigint;
UPDATE exports e SET mail_id = 0 FROM job_tickets t
WHERE t.id = e.id AND t.completed_at IS NOT NULL AND NOT EXISTS (
    SELECT FROM mails m
    WHERE m.user_id = e.user_id AND m.kind = 'export_ready' AND m.dedup_key = e.id::text
      AND m.state IN ('queued', 'sending'));
CREATE INDEX exports_untold ON exports (user_id) WHERE mail_id IS NULL;
CREATE INDEX exports_mail ON exports (mail_id) WHERE mail_id > 0;
