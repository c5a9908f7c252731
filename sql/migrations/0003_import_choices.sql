-- What a person said of a file: units, the order of dates, columns.
ALTER TABLE imports ADD COLUMN choices jsonb NOT NULL DEFAULT '{}';
