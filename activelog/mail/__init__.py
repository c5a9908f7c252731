"""Mails: three templates become a message; the message goes to a relay or into a folder."""

from activelog.mail.message import Message, Recipient, compose, domain_of, make_message_id
from activelog.mail.relay import FolderMailer, MailDelayed, Mailer, MailRefused, make_mailer
from activelog.mail.templates import Templates

__all__ = [
    "FolderMailer",
    "MailDelayed",
    "MailRefused",
    "Mailer",
    "Message",
    "Recipient",
    "Templates",
    "compose",
    "domain_of",
    "make_mailer",
    "make_message_id",
]
