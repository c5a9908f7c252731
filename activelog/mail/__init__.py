"""Mails: a row in the outbox, written in the transaction that causes it, and a job that sends it.

A mail is one for (user, kind, deduplication key), so a double click, a second firing or a retry
finds the row and, once it is sent, does not send it again. Its Message-ID stands in the row before
the first attempt.

SMTP cannot promise exactly once: when the connection breaks after the mail was handed over and
before the answer came, it may or may not be on its way. Then we send again with the same
Message-ID: a mail seen twice, which most mailboxes fold into one, does less harm than a lost
verification link.

Whether it is still wanted and possible is asked when it is claimed: a person may have unsubscribed
from its list, have had enough of the kind today, or have an address that a relay refused for good.
Then three templates become a message, and the message goes to a relay or into a folder.
"""

from activelog.mail.bounces import take_bounce
from activelog.mail.jobs import add_mail_jobs
from activelog.mail.languages import LANGUAGES, LanguageCode, guess
from activelog.mail.message import Recipient, compose, domain_of, make_message_id
from activelog.mail.model import LISTS, Claim, Content, MailKind
from activelog.mail.outbox import PATIENT, TIMEOUT, Outbox
from activelog.mail.queries import has_user, preferences, set_preferences, unsuppress
from activelog.mail.relay import make_mailer
from activelog.mail.signing import make_signer
from activelog.mail.templates import Templates

__all__ = [
    "LANGUAGES",
    "LISTS",
    "PATIENT",
    "TIMEOUT",
    "Claim",
    "Content",
    "LanguageCode",
    "MailKind",
    "Outbox",
    "Recipient",
    "Templates",
    "add_mail_jobs",
    "compose",
    "domain_of",
    "guess",
    "has_user",
    "make_mailer",
    "make_message_id",
    "make_signer",
    "preferences",
    "set_preferences",
    "take_bounce",
    "unsuppress",
]
