-- name: import_reports
-- The figures of an import stay; its rows that were refused or doubtful go after 30 days.
UPDATE job_tickets SET result = result - ARRAY['errors', 'doubts', 'similar'] WHERE id IN (
    SELECT id FROM job_tickets
    WHERE kind = 'import' AND result ?| ARRAY['errors', 'doubts', 'similar']
      AND completed_at BETWEEN %(now)s::timestamptz - interval '60 days' AND %(now)s::timestamptz - interval '30 days'
    LIMIT %(page)s FOR UPDATE SKIP LOCKED)
