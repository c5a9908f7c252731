-- A schedule that an operator has paused: its ticks pass without a job.
ALTER TABLE schedule_ticks ADD COLUMN paused_at timestamptz;
