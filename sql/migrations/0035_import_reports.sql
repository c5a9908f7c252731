-- The clean-up finds reports of imports that still have their rows.
CREATE INDEX job_tickets_import_reports ON job_tickets (completed_at)
    WHERE kind = 'import' AND result ?| ARRAY['errors', 'doubts', 'similar'];
