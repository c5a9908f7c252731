-- Our index orders by -priority, which the lowest number there is does not have.
UPDATE procrastinate_jobs SET priority = -2147483647 WHERE priority = -2147483648 AND status = 'todo';
ALTER TABLE procrastinate_jobs
    ADD CONSTRAINT priority_has_a_negative CHECK (priority > -2147483648) NOT VALID;
