"""People who use the API and write down what they were told. What a person does follows from the
seed; how far she gets, from the chaos."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.chaos.ledger import Ledger
from tests.chaos.stand import Stand
from tests.conftest import PASSWORD

PATIENCE = 90.0  # seconds for an answer, across tries
MAIL_PATIENCE = 240.0
_ROWS = "activity_type,duration_minutes,distance_km,activity_date,notes\n"


class GaveUp(Exception):
    """No answer came, or the time is over."""


@dataclass
class Person:
    number: int
    stand: Stand
    ledger: Ledger
    over: threading.Event
    seed: str
    others: int
    token: str = ""
    logged: int = 0
    jobs: list[str] = field(default_factory=list)
    last: tuple[str, dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        self.name = f"person-{self.number}"
        self.random = random.Random(f"{self.seed}/{self.name}")
        self.http = httpx.Client(timeout=10)

    def live(self) -> None:
        try:
            self._arrive()
            acts = _acts(self)
            while not self.over.is_set():
                [act] = self.random.choices(list(acts), list(acts.values()))
                try:
                    act()
                except GaveUp:
                    continue
                self.over.wait(self.random.uniform(0.05, 0.4))
        except GaveUp:
            self.ledger.write(self.name, "gave up")

    # Asking

    def ask(self, method: str, path: str, *, is_last: bool = False, **options: Any) -> Any:
        """The first answer that is one: 503, 500 and silence are asked again, of either API."""
        deadline = time.monotonic() + PATIENCE
        headers = options.pop("headers", {}) | {"X-Forwarded-For": f"10.9.{self.number}.7"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        while time.monotonic() < deadline:
            port = self.random.choice(self.stand.ports)
            url = path if path.startswith("http://1") else f"http://127.0.0.1:{port}{path}"
            try:
                answer = self.http.request(method, url, headers=headers, **options)
            except httpx.HTTPError:
                time.sleep(0.2)
                continue
            if answer.status_code == 500:
                self.ledger.write(self.name, "500", {"body": answer.text}, path=path)
            if answer.status_code == 401 and self.token and "login" not in path:
                self.ledger.write(self.name, "401", {"body": answer.text}, path=path)
            if answer.status_code < 500 and answer.status_code != 409:
                return answer
            time.sleep(0.3)
        raise GaveUp

    def post(self, path: str, key: str, **options: Any) -> Any:
        return self.ask("POST", path, headers={"Idempotency-Key": key}, **options)

    # Arriving

    @property
    def address(self) -> str:
        return f"{self.name}@chaos{self.number}.test"

    def _arrive(self) -> None:
        body = {"email": self.address, "password": PASSWORD, "name": f"Person {self.number}"}
        answer = self.ask("POST", "/api/v1/auth/register", json=body)
        self.ledger.write(self.name, "registered", {"status": answer.status_code})
        deadline = time.monotonic() + MAIL_PATIENCE
        while (token := self.stand.relay.token_for(self.address)) is None:
            if self.over.wait(0.2) or time.monotonic() > deadline:
                raise GaveUp
        self.ask("GET", f"/api/v1/auth/verify-email?token={token}")
        body = {"email": self.address, "password": PASSWORD}
        answer = self.ask("POST", "/api/v1/auth/login", json=body)
        self.ledger.write(self.name, "signed in", {"status": answer.status_code})
        if answer.status_code != 200:
            raise GaveUp
        self.token = answer.json()["token"]

    # Acts

    def log(self) -> None:
        self.logged += 1
        notes = f"{self.name} log {self.logged}"
        body = {"activity_type": "running", "duration_minutes": 30, "distance_km": 5,
                "activity_date": "2024-05-01T06:30:00Z", "notes": notes}  # fmt: skip
        self.last = (notes, body)
        self._log_last()

    def log_again(self) -> None:
        if self.last is not None:
            self._log_last()

    def _log_last(self) -> None:
        assert self.last is not None
        notes, body = self.last
        told = None
        try:
            answer = self.post("/api/v1/activities", notes, json=body)
            told = {"status": answer.status_code, "id": answer.json().get("id")}
        finally:
            self.ledger.write(self.name, "logged", told, notes=notes)

    def bring(self) -> None:
        self.logged += 1
        notes = f"{self.name} import {self.logged}"
        count = self.random.choice([3, 40, 600])
        first = datetime(2010, 1, 1, tzinfo=UTC) + timedelta(days=self.logged)
        rows = (f"yoga,30,0,{first + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ},{notes}/{n}\n"
                for n in range(count))  # fmt: skip
        self._start("imported", "/api/v1/activities/import", notes=notes,
                    count=count, content=(_ROWS + "".join(rows)).encode(),
                    media="text/csv")  # fmt: skip

    def export_csv(self) -> None:
        self.logged += 1
        notes = f"{self.name} export {self.logged}"
        self._start("exported", "/api/v1/activities/export/csv", notes=notes, content=b"{}")

    def export_pdf(self) -> None:
        self.logged += 1
        notes = f"{self.name} report {self.logged}"
        body = b'{"report_type": "monthly", "month": "2024-05"}'
        self._start("exported", "/api/v1/activities/export/pdf", notes=notes, content=body)

    def _start(
        self, what: str, path: str, *, notes: str, content: bytes, count: int = 0,
        media: str = "application/json",
    ) -> None:  # fmt: skip
        told = None
        try:
            headers = {"Idempotency-Key": notes, "Content-Type": media}
            answer = self.ask("POST", path, headers=headers, content=content)
            told = {"status": answer.status_code, "job_id": answer.json().get("job_id")}
            if answer.status_code not in (202, 429):
                told["body"] = answer.text
            if job := told["job_id"]:
                self.jobs.append(job)
        finally:
            self.ledger.write(self.name, what, told, notes=notes, count=count)

    def cancel(self) -> None:
        if not self.jobs:
            return
        job = self.jobs[-1]
        told = None
        try:
            deadline = time.monotonic() + PATIENCE  # 409 means that it has ended
            port = self.random.choice(self.stand.ports)
            headers = {"Authorization": f"Bearer {self.token}"}
            while time.monotonic() < deadline:
                url = f"http://127.0.0.1:{port}/api/v1/jobs/{job}"
                try:
                    answer = self.http.delete(url, headers=headers)
                except httpx.HTTPError:
                    time.sleep(0.3)
                    continue
                if answer.status_code < 500:
                    told = {"status": answer.status_code}
                    return
                time.sleep(0.3)
            raise GaveUp
        finally:
            self.ledger.write(self.name, "cancelled", told, job_id=job)

    def look(self) -> None:
        self.ask("GET", "/api/v1/activities?limit=30")
        if self.jobs:
            self.ask("GET", f"/api/v1/jobs/{self.jobs[-1]}")

    def befriend(self) -> None:
        other = self.random.randrange(self.others)
        body = {"email": f"person-{other}@chaos{other}.test"}
        answer = self.ask("POST", "/api/v1/friends/requests", json=body)
        self.ledger.write(self.name, "asked", {"status": answer.status_code}, other=other)

    def accept(self) -> None:
        answer = self.ask("GET", "/api/v1/friends/requests")
        for request in answer.json().get("requests", []):
            done = self.ask("POST", f"/api/v1/friends/requests/{request['id']}/accept")
            told = {"status": done.status_code}
            self.ledger.write(self.name, "accepted", told, friend=request["from_address"])

    def weekly(self) -> None:
        self.logged += 1
        answer = self.post("/api/v1/users/me/reports/weekly-summary", f"{self.name} {self.logged}")
        told = {"status": answer.status_code, "job_id": answer.json().get("job_id")}
        self.ledger.write(self.name, "asked for a summary", told)

    def unsubscribe(self) -> None:
        answer = self.ask(
            "PATCH", "/api/v1/users/me/mail-preferences", json={"friend_activity": False}
        )
        self.ledger.write(self.name, "unsubscribed", {"status": answer.status_code})


def _acts(person: Person) -> dict[Callable[[], None], int]:
    return {
        person.log: 50, person.log_again: 8, person.bring: 6, person.export_csv: 8,
        person.export_pdf: 2, person.cancel: 4, person.look: 12, person.befriend: 5,
        person.accept: 4, person.weekly: 1, person.unsubscribe: 1,
    }  # fmt: skip


def witnesses(stand: Stand, ledger: Ledger, over: threading.Event, seed: str) -> None:
    """Somebody at a shell who enqueues jobs and is told their numbers."""
    chance = random.Random(f"{seed}/witnesses")
    defer = (
        "SELECT unnest(procrastinate_defer_jobs_v1(ARRAY[ROW('default', 'chaos.witness', 0, NULL,"
        " NULL, jsonb_build_object('seconds', %s::float), NULL)::procrastinate_job_to_defer_v1]))"
    )
    while not over.wait(chance.uniform(0.02, 0.2)):
        try:
            [(number,)] = stand.all(defer, chance.choice([0, 0, 0.1, 1, 8]))
        except Exception:
            continue
        ledger.write("shell", "deferred", {"id": number})
