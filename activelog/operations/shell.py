"""`activelog jobs` and `activelog queues`: what the jobs page does, from the shell; with `--json`
for programs. What is done is noted in the audit, like there."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from activelog import database, http
from activelog.base.addresses import findable
from activelog.base.errors import AppError, CommandError
from activelog.base.settings import Settings
from activelog.database import Conn
from activelog.operations import admin
from activelog.operations.model import STATES, WORKS, Action, GroupLimit, JobFilter, Limit

_SECONDS = 30  # that a search may take
_MOST = 1000  # jobs in a list
_FILTERS = ("status", "queue", "task", "text")
_ACTIONS: dict[Action, str] = {
    "retry": "failed, aborted and cancelled ones run again",
    "run_now": "those that wait for their time",
    "cancel": "waiting ones do not start, running ones are asked to stop",
    "delete": "those that have ended",
}


def complete(jobs: argparse.ArgumentParser, queues: argparse.ArgumentParser) -> None:
    """Their actions."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="one object a line"
    )
    actions = jobs.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the newest that match", parents=[common])
    listing.add_argument("--status", metavar="STATE", help=", ".join(STATES))
    for name in ("queue", "task", "text"):
        listing.add_argument(f"--{name}")
    listing.add_argument("--limit", type=int, default=50, metavar="N")
    listing.set_defaults(act=_list)
    showing = actions.add_parser("show", help="a job, its events and errors", parents=[common])
    showing.add_argument("id", type=int)
    showing.set_defaults(act=_show)
    for action, about in _ACTIONS.items():
        doing = actions.add_parser(action.replace("_", "-"), help=about, parents=[common])
        doing.add_argument("ids", type=int, nargs="+", metavar="id")
        doing.set_defaults(act=_do, action=action)
    actions = queues.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="how full they are", parents=[common])
    listing.set_defaults(act=_queues)
    for name, about in (("pause", "what runs ends, nothing new starts"), ("resume", "it goes on")):
        switching = actions.add_parser(name, help=about, parents=[common])
        switching.add_argument("queue")
        switching.set_defaults(act=_switch, action=name)
    limiting = actions.add_parser(
        "limit", help="how many of its jobs may run at once", parents=[common]
    )
    limiting.add_argument("queue")
    limiting.add_argument("running", type=int, nargs="?", help="without it: any number")
    limiting.set_defaults(act=_limit)
    limiting = actions.add_parser(
        "limit-person", help="how many of one person run at once", parents=[common]
    )
    limiting.add_argument("work", help=", ".join(WORKS))
    limiting.add_argument("running", type=int, nargs="?", help="without it: as usual")
    limiting.set_defaults(act=_limit_group)
    for parser in (jobs, queues):
        parser.set_defaults(run=run)
        parser.add_argument("--json", action="store_true", help="one object a line")


def run(arguments: argparse.Namespace) -> None:
    try:
        rows = asyncio.run(_run(arguments, Settings.from_env(os.environ)))
    except AppError as error:
        raise CommandError(str(error)) from None
    for row in rows:
        print(json.dumps(row, default=str) if arguments.json else _line(row))


async def _run(arguments: argparse.Namespace, settings: Settings) -> Iterable[dict[str, Any]]:
    async with (
        database.command_pool(settings, "activelog", max_size=1) as pool,
        database.searching(pool, _SECONDS) as conn,
    ):
        found: list[dict[str, Any]] = await arguments.act(conn, arguments)
        return found


async def _list(conn: Conn, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    if arguments.status not in (None, *STATES):
        raise CommandError(f"--status must be one of {', '.join(STATES)}")
    if not 1 <= arguments.limit <= _MOST:
        raise CommandError(f"--limit must be from 1 to {_MOST}")
    fields = {name: value for name in _FILTERS if (value := getattr(arguments, name))}
    wanted = http.convert(fields, JobFilter)
    return [asdict(job) for job in await admin.jobs(conn, wanted, arguments.limit)]


async def _show(conn: Conn, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    job = await admin.job(conn, arguments.id)
    if job is None:
        raise CommandError(f"there is no job {arguments.id}")
    events = await admin.events(conn, job.id)
    errors = await admin.errors(conn, job.id)
    return [asdict(job), *map(asdict, events), *map(asdict, errors)]


async def _do(conn: Conn, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    done = await admin.act(conn, arguments.action, arguments.ids)
    for job_id in done:
        await admin.note(conn, None, arguments.action, f"job {job_id}, from the shell")
    left = sorted(set(arguments.ids) - set(done))
    if left:
        gone = ", ".join(map(str, left))
        print(f"Not done for job {gone}: it is in another state, or gone", file=sys.stderr)
    return [{"action": arguments.action, "jobs": len(done)}]


async def _queues(conn: Conn, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    return [asdict(queue) for queue in await admin.queues(conn)]


async def _switch(conn: Conn, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    await admin.switch(conn, arguments.queue, arguments.action)
    await admin.note(conn, None, arguments.action, f"queue {arguments.queue}, from the shell")
    return [{"queue": arguments.queue, "paused": arguments.action == "pause"}]


async def _limit(conn: Conn, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    fields = {"queue": arguments.queue, "running": arguments.running}
    wanted = http.convert(fields, Limit)
    await admin.limit(conn, wanted.queue, wanted.running)
    subject = f"queue {wanted.queue}: {wanted.running or 'none'}, from the shell"
    await admin.note(conn, None, "limit", subject)
    return [fields]


async def _limit_group(conn: Conn, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    fields = {"work": arguments.work, "running": arguments.running}
    wanted = http.convert(fields, GroupLimit)
    await admin.limit_group(conn, wanted.work, wanted.running)
    subject = f"{wanted.work} of one person: {wanted.running or 'as usual'}, from the shell"
    await admin.note(conn, None, "limit", subject)
    return [fields]


def _line(row: dict[str, Any]) -> str:
    """For people: what there is, in one line."""
    return "  ".join(
        f"{name}={value}" for name, value in row.items() if value not in (None, "", [])
    )


async def make_admin(settings: Settings, email: str, wanted: bool) -> str:
    """Or takes it back. Says what is so now. Raises CommandError when nobody has the address."""
    async with (
        database.command_pool(settings, "activelog admin", max_size=1) as pool,
        database.transaction(pool) as conn,
    ):
        found = await admin.make_admin(conn, findable(email), wanted)
        if found is None:
            raise CommandError(f"nobody with the verified address {email} is registered")
        if not found.is_changed:
            return f"{email} is {'an admin already' if wanted else 'no admin'}."
        action = "grant admin" if wanted else "revoke admin"
        await admin.note(conn, None, action, f"user {found.user_id}, from the shell")
    return f"{email} is {'an admin now' if wanted else 'no admin any more'}."
