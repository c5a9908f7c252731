"""Activities: what people did, when, for how long and how far; one by one or from a CSV file.

An upload is stored and imported by a job. The import is one transaction that also completes its
ticket, so a killed run leaves nothing behind and a repeated one finds nothing to do. Tags are an
array in the row: a table of tags halves the speed of every export.
"""
