-- name: jobs
-- Jobs hold ids in their arguments, and errors. It reads all jobs, once for a page of accounts.
WITH ids AS (
    SELECT id::text FROM unnest(%(user_ids)s::bigint[]) AS u (id)
)
DELETE FROM procrastinate_jobs j
WHERE j.status <> 'doing'
  AND (j.args->>'user_id' IN (SELECT id FROM ids)
       OR j.args->>'ticket_id' IN (
              SELECT id::text FROM job_tickets WHERE user_id = ANY (%(user_ids)s)))
