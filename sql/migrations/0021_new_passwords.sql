-- Whose sessions a new password ended lately: every API process asks every few seconds.
CREATE INDEX password_resets_used ON password_resets (used_at) WHERE used_at IS NOT NULL;
