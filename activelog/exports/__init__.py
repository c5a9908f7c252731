"""Exports: a person's activities as a file that they download for seven days.

Rows come from one snapshot in constant memory and become CSV by the csv module, or a PDF; the bytes
go to a temporary file, from there to the storage under a key made of ids, so that a retry
overwrites; then one transaction completes the ticket and writes the mail that announces it.
Nothing is announced that is not there, and a mail server that is down never makes a file twice.

The ZIP of everything takes from each part what it declares in sql/<part>/personal_data.sql.
"""
