-- Also of those that were answered long ago.
CREATE INDEX IF NOT EXISTS friend_requests_sender ON friend_requests (from_id);
CREATE INDEX IF NOT EXISTS friend_requests_addressee ON friend_requests (to_id);
