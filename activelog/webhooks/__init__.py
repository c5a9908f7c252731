"""Webhooks: what happens to somebody is posted to an https address of theirs.

Triggers in sql/webhooks write a delivery and its job in the transaction in which it happens. The
job signs the event as Standard Webhooks say and posts it, to public addresses only; what fails is
tried again for most of a day. A webhook that fails for days is disabled; its owner gets a mail.
"""
