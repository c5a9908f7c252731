-- What came back: a mail that was taken and not delivered after all, or that somebody complained about.
ALTER TABLE mails
    ADD COLUMN bounce text CHECK (bounce IN ('hard', 'full', 'soft', 'refused', 'complaint')),
    ADD COLUMN bounce_said text,            -- without addresses and links
    ADD COLUMN bounced_at timestamptz;
CREATE INDEX mails_bounced ON mails (bounced_at DESC) WHERE bounced_at IS NOT NULL;
CREATE INDEX mails_message ON mails (message_id);
