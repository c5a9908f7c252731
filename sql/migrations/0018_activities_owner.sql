-- Deleting an account looks for what is its owner's, also what they deleted themselves. A partial index
-- does not know, and the whole table was read for each account. (0023 drops the partial one: a file
-- that holds one table's writers up must not wait for another lock.)
-- IF NOT EXISTS: who has very many can create it beforehand, CONCURRENTLY.
CREATE INDEX IF NOT EXISTS activities_owner ON activities (user_id, activity_date DESC, id DESC);
