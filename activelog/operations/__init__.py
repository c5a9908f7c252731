"""What an operator sees and steers: the jobs page, /metrics, /healthz and /readyz.

No page counts millions of jobs: what waits is counted up to a limit through its index, and what
happened comes from job_counts, which the queue writes by hour. Actions on all jobs that match are
a job themselves, with progress; everything that somebody does is noted in `audit`.
"""
