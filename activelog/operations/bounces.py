"""Reads mails that came back: from standard input, a Maildir or an IMAP mailbox."""

import asyncio
import imaplib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import psycopg

from activelog import database
from activelog.base.errors import CommandError, Permanent
from activelog.base.settings import Settings, mailbox_url
from activelog.database import Pool
from activelog.mail import take_bounce
from activelog.mail.bounces import LARGEST

_MOST = 1000  # messages of one run; the others come next time
_TIMEOUT = 30.0  # seconds for an answer of an IMAP server

logger = logging.getLogger(__name__)


class Mailbox(Protocol):
    """`messages` gives those that nobody has read, each with what marks it as read."""

    def messages(self) -> Iterator[tuple[bytes, str]]: ...

    def mark(self, key: str) -> None: ...


class Maildir:
    def __init__(self, path: Path) -> None:
        self._new, self._seen = path / "new", path / "cur"
        if not (self._new.is_dir() and self._seen.is_dir()):
            raise CommandError(f"{path} is no Maildir: it has no folders new and cur")

    def messages(self) -> Iterator[tuple[bytes, str]]:
        files = (file for file in sorted(self._new.iterdir()) if file.is_file())
        for file in islice(files, _MOST):
            try:
                data = file.read_bytes()
            except OSError as error:
                logger.warning("The message %s cannot be read: %s", file.name, error.strerror)
            else:
                yield data, file.name

    def mark(self, key: str) -> None:
        with suppress(FileNotFoundError):
            (self._new / key).rename(self._seen / f"{key}:2,S")


class Imap:
    def __init__(self, server: imaplib.IMAP4) -> None:
        self._server = server

    def messages(self) -> Iterator[tuple[bytes, str]]:
        found = _good(self._server.uid("SEARCH", "UNSEEN"))
        for uid in (found[0] or b"").split()[:_MOST]:
            parts = _good(self._server.uid("FETCH", uid.decode(), "(BODY.PEEK[])"))
            data = next((part[1] for part in parts if isinstance(part, tuple)), None)
            if data is not None:
                yield data, uid.decode()

    def mark(self, key: str) -> None:
        _good(self._server.uid("STORE", key, "+FLAGS", "(\\Seen)"))


@contextmanager
def opened(where: str) -> Iterator[Mailbox]:
    """`maildir:/path` or `imaps://user:password@host/INBOX`. Raises CommandError."""
    url = mailbox_url(where)
    if url.scheme == "maildir":
        yield Maildir(Path(url.path))
        return
    connect = imaplib.IMAP4_SSL if url.scheme == "imaps" else imaplib.IMAP4
    port = url.port or (993 if url.scheme == "imaps" else 143)
    try:
        with connect(url.hostname or "", port, timeout=_TIMEOUT) as server:
            server.login(unquote(url.username or ""), unquote(url.password or ""))
            folder = unquote(url.path.lstrip("/")) or "INBOX"
            _good(server.select('"{}"'.format(folder.replace("\\", "\\\\").replace('"', '\\"'))))
            yield Imap(server)
    except imaplib.IMAP4.error as error:
        said = str(error).removeprefix("b'").removesuffix("'")
        raise CommandError(f"the mailbox at {url.hostname} refuses us: {said}") from None
    except OSError as error:
        raise CommandError(f"the mailbox at {url.hostname} is away: {error}") from None


def _good(answer: tuple[str, list[Any]]) -> list[Any]:
    """What the server gave. Raises IMAP4.error with what it said, if that was no."""
    kind, found = answer
    if kind != "OK":
        raise imaplib.IMAP4.error(b" ".join(found).decode("utf-8", "replace"))
    return found


async def take_all(pool: Pool, settings: Settings, box: Mailbox) -> list[str]:
    """What each message was, in words. One is marked when what it says is kept, so after a kill it
    is read again, and says the same."""
    said, messages = [], box.messages()
    while (found := await asyncio.to_thread(next, messages, None)) is not None:
        data, key = found
        said.append(await _take(pool, settings, data))
        await asyncio.to_thread(box.mark, key)
    return said


async def _take(pool: Pool, settings: Settings, data: bytes) -> str:
    """What the message was, in words. Anybody may send one that cannot be read: it keeps no other
    one from being read."""
    try:
        async with pool.connection() as conn:
            return await take_bounce(conn, settings, data)
    except Exception as error:
        if isinstance(error, psycopg.Error) and not isinstance(error, psycopg.DataError):
            raise  # of ours, or Postgres is away: the message is read again
        logger.warning("A message of %d bytes cannot be read: %s", len(data), type(error).__name__)
        return "unreadable"


async def take_from(pool: Pool, settings: Settings, where: str) -> list[str]:
    opening = opened(where)
    try:
        box = await asyncio.to_thread(opening.__enter__)
    except CommandError as error:
        raise Permanent(str(error)) from None
    try:
        return await take_all(pool, settings, box)
    finally:
        await asyncio.to_thread(opening.__exit__, None, None, None)


async def run(settings: Settings, where: str | None) -> list[str]:
    """Of a mailbox, or of the message on standard input."""
    async with database.command_pool(settings, "activelog bounces") as pool:
        if where is not None:
            with opened(where) as box:
                return await take_all(pool, settings, box)
        data = await asyncio.to_thread(sys.stdin.buffer.read, LARGEST)
        return [await _take(pool, settings, data)]
