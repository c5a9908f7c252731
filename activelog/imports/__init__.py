"""Imports: other people's files become activities, in a job with a report.

An upload is stored and imported by a job. The import is one transaction that also completes its
ticket, so a killed run leaves nothing behind and a repeated one finds nothing to do. `formats`
tells whose file it is; each source has a module that turns the cells of a row into the fields of
an activity.
"""
