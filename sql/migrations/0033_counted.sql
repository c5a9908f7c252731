-- The number of the last counts that a worker wrote: those whose answer was lost are not counted twice.
ALTER TABLE our_workers ADD COLUMN counted bigint NOT NULL DEFAULT 0;
