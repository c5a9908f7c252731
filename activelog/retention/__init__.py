"""What is deleted when, every night, in small statements that hold no lock for long.

Each part declares what of its tables goes when: sql/<part>/retention.sql holds statements that
delete a page each, sql/<part>/objects.sql says which stored objects no row needs any more, and
sql/<part>/account_deletion.sql what goes with an account. What is here does it, by name.

| what | when |
|---|---|
| deleted activities, with their photos | after 30 days |
| files of exports (activelog.exports.expire) | when they expire, after 7 days |
| objects that no row needs (of uploads and jobs that were cut off) | after a day |
| accounts, with all that is theirs | 30 days after their owner asked for it |
| registrations that nobody verified; links that were mailed; idempotency keys | after 7 days |
| counters of rate limits | when their window ends |
| rows in reports of imports | after 30 days; the figures stay |
| jobs that ended, with their events and errors | after 7 days, failed ones after 30 (settings) |
| mails, notifications, runs of schedules | after 400 days |
| counts of jobs by the hour | become those of the day after three days, and go after a year |
| how full queues were, and what failed | after 40 days |
| addresses that got no mails for a while | 90 days after they may be tried again |
| from where people signed in; which sessions ended early | after 90 days; after two |
| words of jobs, for searching | with the jobs |

A mail whose job ended without it is given up after a day. Tickets and friends stay for as long as
their account does; what admins did, for good.

The engine's own way to delete jobs reads all events of all jobs in one statement, seconds of it.
Here the table is walked in the order of ids, a bounded page a statement, and the walk ends at the
first page that is too young: ids ascend with time.

The stored objects are listed, too: a million of a folder in a night, and the next goes on there.
"""
