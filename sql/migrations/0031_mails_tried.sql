-- How the latest tries to deliver went, whatever the order in which the mails were written.
CREATE INDEX mails_tried ON mails ((coalesce(finished_at, claimed_at)) DESC)
    WHERE state = 'sent' OR state = 'failed' OR (state = 'queued' AND answer LIKE '5%');
