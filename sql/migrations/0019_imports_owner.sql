CREATE INDEX IF NOT EXISTS imports_owner ON imports (user_id);
