"""Imports: people's files become activities, in a job with a report.

An upload is stored and imported by a job. The import is one transaction that also completes its
ticket, so a killed run leaves nothing behind and a repeated one finds nothing to do.

A file is opened by `source`: a table, a track, or a ZIP of them. A `table` is text of any encoding;
`layouts` tells whose it is and `columns` which column is what; `reading` asks all rows how dates
(`dates`), numbers (`cells`) and distances (`units`) are to be read, and then reads them. `tracks`
reads GPX, TCX and FIT. What a file leaves open is a Question: the import fails, and its person
answers by importing again.
"""
