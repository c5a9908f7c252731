"""`activelog demo`: the main job from end to end, as a client of the REST API would do it."""

import csv
import email
import email.policy
import io
import json
import os
import random
import re
import secrets
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from activelog.activities.model import Values
from activelog.base.errors import CommandError
from activelog.base.formatting import counted, unescape_formula
from activelog.exports.csv_file import COLUMNS
from activelog.imports.model import Choices, Found
from activelog.imports.source import open_source
from activelog.local import up
from activelog.local.up import Running

_YEAR = timedelta(days=366)
_PATIENCE = 60.0  # seconds for anything that the worker does
_LINK = re.compile(r"/verify-email\?token=([\w-]+)")

Json = dict[str, Any]


class DemoError(CommandError):
    """What went wrong, in one line."""


@dataclass
class Client:
    """A REST client: JSON in and out, a bearer token once it is signed in."""

    base_url: str
    token: str = field(default="", repr=False)

    def call(self, method: str, path: str, body: Json | bytes | None = None) -> Json:
        answer = self.fetch(method, path, body)
        found: Json = json.loads(answer) if answer else {}
        return found

    def fetch(self, method: str, path: str, body: Json | bytes | None = None) -> bytes:
        url = path if path.startswith("http") else self.base_url + path
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = "text/csv" if isinstance(body, bytes) else "application/json"
        request = Request(url, data, {"Content-Type": kind}, method=method)  # noqa: S310
        if self.token:
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        try:
            with urlopen(request, timeout=30) as response:  # noqa: S310 - our own address
                answer: bytes = response.read()
                return answer
        except HTTPError as error:
            problem = error.read().decode(errors="replace")
            raise DemoError(f"{method} {path} answered {error.code}: {problem}") from None
        except OSError as error:
            raise DemoError(f"{method} {path} was not answered: {error}") from None


@dataclass(frozen=True)
class Account:
    email: str
    password: str


def run(var: Path, port: int, activities: Path | None) -> None:
    """Raises DemoError when anything is not as it should be."""
    began = time.monotonic()
    file = _read(activities) if activities else _made_up_year()
    environ = {name: value for name, value in os.environ.items() if "ACTIVELOG" not in name}
    _say("Starting Postgres, the API and a worker")
    with up.run(var, port, environ) as running:
        _done(f"up in {time.monotonic() - began:.1f} s at {running.base_url}")
        account = Account(f"demo-{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(12))
        client = Client(running.base_url)
        register(running, client, account)
        imported = _import(client, file)
        export = _export(client)
        downloaded = client.fetch("GET", export["result"]["download_url"])
        _compare(file, imported, downloaded)
        saved = running.var / "activities.csv"
        saved.write_bytes(downloaded)
        mails = _await_mails(running, account)
        _summary(running, account, saved, imported, mails, time.monotonic() - began)


def register(running: Running, client: Client, account: Account) -> None:
    """Registers, verifies with the link from the mail, signs in."""
    _say(f"Registering {account.email}")
    body = {"email": account.email, "password": account.password, "name": "Demo Runner"}
    client.call("POST", "/api/v1/auth/register", body)
    token = _wait(lambda: _token_mailed_to(running.var / "mails", account.email), "the mail")
    client.call("GET", f"/api/v1/auth/verify-email?token={token}")
    _done("verified with the link from the mail")
    session = client.call(
        "POST", "/api/v1/auth/login", {"email": account.email, "password": account.password}
    )
    client.token = session["token"]


def fill(running: Running) -> None:
    """For `activelog up --demo`: the account that works has a year of activities, up to today. One
    that has any is left as it is."""
    client = Client(running.base_url)
    address, password = up.own_account(running)
    body = {"email": address, "password": password}
    client.token = client.call("POST", "/api/v1/auth/login", body)["token"]
    if client.call("GET", "/api/v1/activities?limit=1")["activities"]:
        return
    year_ago = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - _YEAR
    report = _sent(client, _made_up_year(year_ago))
    _done(f"{counted(report['imported'], 'activities')} of a made-up year imported")


def _import(client: Client, file: bytes) -> Json:
    _say(f"Importing {len(file):,} bytes of CSV")
    report = _sent(client, file)
    _done(f"{counted(report['imported'], 'activities')} imported, {report['rejected']:,} refused")
    for error in report.get("errors", [])[:5]:
        print(f"    line {error['line']}: {error['reason']}")
    if not report["imported"]:
        raise DemoError("no activity was imported: the file has none that we can read")
    return report


def _sent(client: Client, file: bytes) -> Json:
    accepted = client.call("POST", "/api/v1/activities/import", file)
    report: Json = _follow(client, accepted["status_url"])["result"]
    return report


def _export(client: Client) -> Json:
    _say("Exporting them as CSV")
    accepted = client.call("POST", "/api/v1/activities/export/csv", {"include_tags": True})
    job = _follow(client, accepted["status_url"])
    result = job["result"]
    _done(f"{counted(result['record_count'], 'records')}, {counted(result['file_size'], 'bytes')}")
    return job


def _follow(client: Client, status_url: str) -> Json:
    """Polls a job to its end, with a bar on a terminal."""

    def finished() -> Json | None:
        job = client.call("GET", status_url)
        if job["status"] in ("pending", "processing"):
            _bar(job["progress"], job.get("message", ""))
            return None
        return job

    job = _wait(finished, f"job {status_url}")
    _bar(job["progress"], "")
    if job["status"] != "completed":
        raise DemoError(f"job {job['job_id']} is {job['status']}: {job.get('error', '')}")
    found: Json = job
    return found


def _compare(file: bytes, report: Json, downloaded: bytes) -> None:
    _say("Comparing what came out with what went in")
    with open_source(io.BytesIO(file), Choices(), datetime.now(UTC)) as source:
        rows = list(source.rows)
    expected = Counter(_meant(row.values) for row in rows if isinstance(row, Found))
    found = Counter(_rows(downloaded))
    if report["rejected"] != len(rows) - expected.total():
        raise DemoError(f"{report['rejected']} rows were refused, and others should have been")
    if expected != found:
        missing, extra = expected - found, found - expected
        example = next(iter(missing or extra))
        raise DemoError(f"{len(missing)} rows are missing, {len(extra)} too many, e.g. {example}")
    _done(f"all {found.total():,} rows are the same")


def _meant(row: Values) -> tuple[object, ...]:
    return (
        row.activity_type,
        row.duration_minutes,
        row.distance_km,
        row.activity_date,
        ",".join(row.tags),
        row.notes,
    )


def _rows(downloaded: bytes) -> Iterator[tuple[object, ...]]:
    for row in csv.DictReader(io.StringIO(downloaded.decode(), newline="")):
        yield (
            unescape_formula(row["activity_type"]),
            int(row["duration_minutes"]),
            float(row["distance_km"]),
            datetime.fromisoformat(row["activity_date"]),
            unescape_formula(row["tags"]),
            unescape_formula(row["notes"].replace("\r\n", "\n")),
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DemoError(f"{path} cannot be read: {error.strerror}") from None


def _made_up_year(day: datetime = datetime(2024, 1, 1, tzinfo=UTC)) -> bytes:
    """Some 300 activities of the year from that day on, the same ones every time."""
    chance = random.Random(2024)  # noqa: S311 - a demo
    kinds = {"running": 9.5, "ride": 22.0, "walk": 5.0, "yoga": 0.0, "swim": 2.4, "晚间跑步": 9.0}
    notes = [
        "",
        "Morning run",
        'Easy, with "friends"',
        "=1+1 is not a formula",
        "Rain 🌧️ all day",
        "Intervals:\n6 x 800 m",
    ]
    out = io.StringIO(newline="")
    rows = csv.writer(out)
    rows.writerow(COLUMNS)
    for number in range(1, 301):
        day += timedelta(hours=chance.randint(10, 48))
        kind = chance.choice(list(kinds))
        minutes = chance.randint(0, 150)
        kilometres = round(kinds[kind] * minutes / 60, 3)
        tags = chance.sample(
            ["morning", "outdoor", "cardio", "hills", "with friends"], chance.randint(0, 3)
        )
        rows.writerow(
            [
                number,
                kind,
                minutes,
                f"{kilometres:g}",
                f"{day:%Y-%m-%dT%H:%M:%SZ}",
                ",".join(tags),
                chance.choice(notes),
            ]
        )
    return out.getvalue().encode()


def _await_mails(running: Running, account: Account) -> list[EmailMessage]:
    def announced() -> list[EmailMessage] | None:
        mails = _mails_to(running.var / "mails", account.email)
        return mails if any("export" in mail["Subject"] for mail in mails) else None

    found = _wait(announced, "the mail that announces the export")
    assert isinstance(found, list)
    return found


def _mails_to(folder: Path, address: str) -> list[EmailMessage]:
    found = []
    for path in sorted(folder.glob("*.eml"), key=lambda path: path.stat().st_mtime):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        if address in str(mail["To"]) and isinstance(mail, EmailMessage):
            found.append(mail)
    return found


def _token_mailed_to(folder: Path, address: str) -> str | None:
    for mail in reversed(_mails_to(folder, address)):
        text = mail.get_body(("plain",))
        if text is not None and (link := _LINK.search(text.get_content())):
            return link[1]
    return None


def _wait(ready: Any, what: str) -> Any:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if found := ready():
            return found
        time.sleep(0.05)
    raise DemoError(f"{what} did not come within {_PATIENCE:.0f} s; the logs may say why")


# What the terminal shows

_COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _paint(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if _COLOUR else text


def _say(text: str) -> None:
    print(f"{_paint('●', '36')} {text}", flush=True)


def _done(text: str) -> None:
    print(f"  {_paint('✓', '32')} {text}", flush=True)


def _bar(progress: int, message: str) -> None:
    if not sys.stdout.isatty():
        return
    filled = "█" * (progress * 30 // 100)
    print(
        f"\r\033[K  {_paint(f'{filled:░<30}', '36')} {progress:3d} % {message}", end="", flush=True
    )
    if progress == 100:
        print(flush=True)


def _summary(
    running: Running,
    account: Account,
    saved: Path,
    report: Json,
    mails: list[EmailMessage],
    seconds: float,
) -> None:
    print()
    imported = counted(report["imported"], "activities")
    print(_paint(f"  It works: {imported} there and back in {seconds:.1f} s", "1"))
    print()
    for mail in mails:
        print(f"  Mail       {mail['Subject']}")
    print(f"  Mail files {running.var / 'mails'}")
    print(f"  Export     {saved}")
    print(f"  Logs       {running.var / 'logs'}")
    print()
    command = Path(sys.executable).with_name("activelog")
    print(f"  Keep it running: {command} up --var {shlex.quote(str(running.var))}")
    print(f"  Then sign in with {account.email} and the password {account.password}")
