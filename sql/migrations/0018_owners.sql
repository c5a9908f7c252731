-- Deleting an account looks for what is its owner's, also what they deleted themselves or answered
-- long ago. Partial indexes do not know, and whole tables were read for each account.
-- (IF NOT EXISTS: who has very many can create it beforehand, CONCURRENTLY.)
CREATE INDEX IF NOT EXISTS activities_owner ON activities (user_id, activity_date DESC, id DESC);
DROP INDEX activities_user;
CREATE INDEX IF NOT EXISTS imports_owner ON imports (user_id);
CREATE INDEX IF NOT EXISTS friend_requests_sender ON friend_requests (from_id);
CREATE INDEX IF NOT EXISTS friend_requests_addressee ON friend_requests (to_id);
