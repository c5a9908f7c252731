-- name: import_reports
-- The figures of an import stay; its rows that were refused or doubtful go after 30 days.
UPDATE job_tickets SET result = result - ARRAY['errors', 'doubts', 'similar'] WHERE id IN (
    SELECT id FROM job_tickets
    WHERE kind = 'import' AND result ?| ARRAY['errors', 'doubts', 'similar']
      AND completed_at < %(now)s::timestamptz - interval '30 days'
    ORDER BY completed_at LIMIT %(page)s FOR UPDATE SKIP LOCKED)
