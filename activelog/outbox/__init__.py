"""The outbox: a mail is a row, written in the transaction that causes it, and a job that sends it.

A mail is one for (user, kind, occasion), so a double click, a second firing or a retry finds the
row and, once it is sent, does not send it again. Its Message-ID stands in the row before the first
attempt.

SMTP cannot promise exactly once: when the connection breaks after the mail was handed over and
before the answer came, it may or may not be on its way. Then we send again with the same
Message-ID: a mail seen twice, which most mailboxes fold into one, does less harm than a lost
verification link.

Whether it is still wanted and possible is asked when it is claimed: a person may have unsubscribed
from its list, have had enough of the kind today, or have an address that a relay refused for good.
"""

from activelog.outbox.deliver import PATIENT, TIMEOUT, deliver, skip
from activelog.outbox.model import LISTS, Claim, Kind
from activelog.outbox.queries import gather, preferences, set_preferences, write

__all__ = [
    "LISTS",
    "PATIENT",
    "TIMEOUT",
    "Claim",
    "Kind",
    "deliver",
    "gather",
    "preferences",
    "set_preferences",
    "skip",
    "write",
]
