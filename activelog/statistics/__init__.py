"""Daily statistics and the weekly mail.

A night computes the day before for everybody, page by page of users, and the days that changed
since. Reading never depends on whether a night has come: a day that is not computed yet, or that a
late activity changed, is read from the activities themselves, so the figures are always those of
the raw rows.

The weekly mail is fanned out by pages of users: a statement writes a page's mails and jobs, spread
over an hour. Each mail is then a job of its own, so one that fails fails alone.
"""
