"""The command line. Each command loads what it needs when it runs."""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from activelog import __version__
from activelog.base.errors import CommandError

# What somebody may say of a file that is to be imported.
_CHOICES = {
    "units": "km or mi, of distances that name none",
    "dates": "dmy, mdy or ymd: the order of day, month and year",
    "type": "of rows that name none",
    "zone": "of a table's times that name none, like Europe/Berlin; else the user's",
    "columns": "which column is what: date=Datum,distance=Km",
}
_interrupted = False  # for what goes on for ever: an exception in the middle of a fork is swallowed


def main() -> None:
    try:
        "".join(sys.argv).encode()
    except UnicodeEncodeError:
        sys.exit("activelog: the arguments are no UTF-8")
    arguments = _parser().parse_args()
    # So that `finally` and `with` run, whoever stops us.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads, like `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        said = _for_people(error)
        if said is None:
            raise
        sys.exit(f"activelog: {said}")


def _for_people(error: Exception) -> str | None:
    """In a line, where a traceback would say nothing more."""
    import psycopg
    from psycopg import errors

    from activelog.storage import StorageError

    said = str(error).strip()
    if isinstance(error, (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn)):
        return (
            f"this database has not this version's schema, run activelog migrate ({_first(said)})"
        )
    if isinstance(error, errors.InsufficientPrivilege):
        return f"the role of ACTIVELOG_DATABASE_URL may not do that: {_first(said)}"
    is_plain = isinstance(error, (CommandError, StorageError, psycopg.OperationalError, OSError))
    return said if is_plain else None


def _first(text: str) -> str:
    return text.partition("\n")[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "activelog", description="Activities by REST; mails, exports and schedules as jobs."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    up = commands.add_parser("up", help="run everything on this machine, Postgres included")
    up.add_argument("--port", type=_port, default=8000)
    up.add_argument("--var", type=Path, default=Path("var"), help="where all of it is kept")
    up.add_argument("--demo", action="store_true", help="with a year of made-up activities")
    up.set_defaults(run=_up)

    demo = commands.add_parser("demo", help="run everything and try it as a REST client would")
    demo.add_argument("--activities", type=Path, metavar="FILE.csv", help="instead of made-up ones")
    demo.add_argument("--port", type=_port, default=0, help="any free one unless given")
    demo.add_argument("--var", type=Path, default=Path("var/demo"))
    demo.set_defaults(run=_demo)

    migrate = commands.add_parser("migrate", help="bring the database to this version's schema")
    migrate.set_defaults(run=_migrate)

    api = commands.add_parser("api", help="serve the API")
    api.add_argument("--host", default="127.0.0.1")
    api.add_argument("--port", type=_port, default=8000)
    api.set_defaults(run=_api)

    importing = commands.add_parser("import", help="import a file of activities for a user")
    importing.add_argument("email")
    importing.add_argument("file", type=Path, help="whatever POST /api/v1/activities/import takes")
    for name, about in _CHOICES.items():
        importing.add_argument(f"--{name}", help=about)
    importing.set_defaults(run=_import)

    doctor = commands.add_parser("doctor", help="look whether everything is there")
    doctor.add_argument("--mail", action="store_true", help="and whether receivers believe us")
    doctor.set_defaults(run=_doctor)

    verifying = commands.add_parser("verify", help="look whether rows and stored files go together")
    verifying.set_defaults(run=_verify)

    bounces = commands.add_parser("bounces", help="take in a mail that came back, or a mailbox")
    bounces.add_argument("--mailbox", metavar="maildir:/PATH|imaps://…", help="or standard input")
    bounces.set_defaults(run=_bounces)

    admin = commands.add_parser("admin", help="let somebody see and steer all jobs")
    admin.add_argument("email")
    admin.add_argument("--revoke", action="store_true", help="no more")
    admin.set_defaults(run=_admin)

    jobs = commands.add_parser("jobs", help="list, show, retry, run, cancel or delete jobs")
    queues = commands.add_parser("queues", help="list, pause, resume or limit queues")
    if sys.argv[1:2] in (["jobs"], ["queues"]):  # what they need takes time to load
        from activelog.operations import shell

        shell.complete(jobs, queues)

    document = commands.add_parser("openapi", help="print the OpenAPI document")
    document.set_defaults(run=_openapi)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > 5 or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port: they go from 0 to 65535")
    return int(text)


def _up(arguments: argparse.Namespace) -> None:
    from activelog.local import up

    with suppress(KeyboardInterrupt), up.run(arguments.var, arguments.port, os.environ) as running:
        if arguments.demo:
            from activelog.local import demo  # what it needs takes memory, and this process stays

            demo.fill(running)
        print(up.greeting(running), flush=True)
        while not _interrupted:
            for name in running.keep_alive():
                print(f"The {name} died and was started again.", flush=True)
            time.sleep(0.5)


def _demo(arguments: argparse.Namespace) -> None:
    from activelog.local import demo

    demo.run(arguments.var, arguments.port, arguments.activities)


def _migrate(arguments: argparse.Namespace) -> None:
    from activelog.base.settings import Settings
    from activelog.database.migrations import migrate

    applied = migrate(Settings.from_env(os.environ).direct_url)
    print("\n".join(applied) if applied else "Nothing to apply: the schema is up to date.")


def _api(arguments: argparse.Namespace) -> None:
    import uvicorn

    from activelog import web
    from activelog.base import logs
    from activelog.base.settings import Settings

    settings = Settings.from_env(os.environ)
    logs.set_up(as_json=settings.json_logs)
    app = web.create_app(settings)
    # uvicorn's own access log writes query strings, and ours hold tokens and signatures.
    uvicorn.run(
        app,
        host=arguments.host,
        port=arguments.port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=4,
    )


def _import(arguments: argparse.Namespace) -> None:
    from activelog.base.settings import Settings
    from activelog.local import import_command

    settings = Settings.from_env(os.environ)
    said = {name: value for name in _CHOICES if (value := getattr(arguments, name))}
    asyncio.run(import_command.run(settings, arguments.email, arguments.file, said))


def _doctor(arguments: argparse.Namespace) -> None:
    sys.exit(asyncio.run(_print_diagnosis(with_mail=arguments.mail)))


async def _print_diagnosis(*, with_mail: bool) -> int:
    """1 when something is wrong."""
    from activelog import web
    from activelog.base.settings import Settings
    from activelog.operations import mail_records
    from activelog.operations.doctor import diagnose

    settings = Settings.from_env(os.environ)
    lines = [line async for line in diagnose(settings, web.MAILS)]
    if with_mail:
        lines += mail_records.examine(settings, mail_records.resolver())
    for line, is_good in lines:
        _print_found(line, is_good)
    return 0 if all(is_good for _, is_good in lines) else 1


def _verify(arguments: argparse.Namespace) -> None:
    sys.exit(asyncio.run(_print_verified()))


async def _print_verified() -> int:
    """1 when something is missing."""
    from activelog.base.settings import Settings
    from activelog.retention.verifying import verify

    code = 0
    async for line, is_good in verify(Settings.from_env(os.environ)):
        _print_found(line, is_good)
        code = code if is_good else 1
    return code


def _print_found(line: str, is_good: bool) -> None:
    print(f"{'✓' if is_good else '✗'} {line}")


def _bounces(arguments: argparse.Namespace) -> None:
    from activelog.base.settings import Settings
    from activelog.operations import bounces

    settings = Settings.from_env(os.environ)
    for line in asyncio.run(bounces.run(settings, arguments.mailbox)):
        print(line)


def _admin(arguments: argparse.Namespace) -> None:
    from activelog.base.settings import Settings
    from activelog.operations import shell

    settings = Settings.from_env(os.environ)
    print(asyncio.run(shell.make_admin(settings, arguments.email, not arguments.revoke)))


def _openapi(arguments: argparse.Namespace) -> None:
    from activelog import web
    from activelog.http import openapi

    base_url = os.environ.get("ACTIVELOG_BASE_URL", "http://127.0.0.1:8000")
    print(json.dumps(openapi.document(web.ENDPOINTS, base_url), indent=2))


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
