-- How somebody likes distances and weeks to be shown.
ALTER TABLE users
    ADD COLUMN units text NOT NULL DEFAULT 'km' CHECK (units IN ('km', 'mi')),
    ADD COLUMN week_start text NOT NULL DEFAULT 'monday' CHECK (week_start IN ('monday', 'sunday', 'saturday'));
