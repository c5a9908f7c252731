"""The tasks of kinds of mail: all alike but for the name of the argument that tells mails apart."""

import inspect
from collections.abc import Awaitable, Callable

from activelog.mail.model import MailKind
from activelog.mail.outbox import PATIENT, TIMEOUT, Outbox
from activelog.queue import Blueprint, Context


def add_mail_jobs(blueprint: Blueprint, *kinds: MailKind) -> None:
    for kind in kinds:
        declare = blueprint.job(kind.task, queue=kind.queue, timeout=TIMEOUT, retry=PATIENT)
        declare(_sender(kind))


def _sender(kind: MailKind) -> Callable[..., Awaitable[None]]:
    async def send(context: Context, user_id: int, **key: str) -> None:
        """Sends the mail. A second run finds it sent or skipped."""
        outbox: Outbox = context.additional_context["services"].outbox
        await outbox.deliver(context, kind, user_id, key.get(kind.key, ""))

    # So that arguments that do not fit are refused by name.
    names = ("context", "user_id", *filter(None, [kind.key]))
    parameters = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names
    ]
    send.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return send
