"""Exports: a person's activities as a file that they download for seven days.

Postgres writes the CSV itself (COPY, in one snapshot); its bytes go to a temporary file, from
there to the storage under a key made of ids, so that a retry overwrites; then one transaction
completes the ticket and writes the mail that announces it. Nothing is announced that is not
there, and a mail server that is down never makes a file twice.
"""
