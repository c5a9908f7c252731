"""Monthly reports: a PDF of the month before, for everybody who was active in it.

The first of a month fans out one job a user, by pages; each reads in one snapshot, draws in a
process beside the worker's, stores `reports/{user_id}/{year}-{month}.pdf` and writes the mail in
the transaction that makes the report known.
"""
