-- The operator looks for mails by their kind, and for those that did not simply leave.
CREATE INDEX mails_kind ON mails (kind, id DESC);
CREATE INDEX mails_unsent ON mails (state, id DESC) WHERE state <> 'sent';
