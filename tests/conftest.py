"""One embedded Postgres for each test process; a clone of a migrated template for each test."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import anyio
import httpx
import psycopg
import pytest
from starlette.applications import Starlette

from activelog import database
from activelog.base import auth
from activelog.base.settings import Folder, Settings
from activelog.database.migrations import migrate
from activelog.jobs import make_app
from activelog.local import demo
from activelog.local.embedded import ROOT_HOME, EmbeddedPostgres
from activelog.queue import App
from activelog.services import Services
from activelog.web import create_app

SECRET = "a secret of the tests, 32 characters"
PASSWORD = "correct horse battery staple"

_ROOM = 4 * 2**30  # bytes
_numbers = count(1)


def pytest_xdist_auto_num_workers() -> int:
    """More than cores: most tests wait for something most of the time."""
    return 3 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that take long come first, so that no worker is left with one at the end."""
    items.sort(
        key=lambda item: [item.get_closest_marker(name) is None for name in ("xdist_group", "slow")]
    )


def missing(what: str) -> NoReturn:
    """A real component is not on this machine: CI fails, a stranger's machine skips."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI skips nothing")
    pytest.skip(f"{what} is not installed here")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    folder = Path(tempfile.mkdtemp(prefix="activelog-tests-", dir=_memory()))
    folder.chmod(0o755)  # the server's user goes through it
    home = folder / "home"
    with EmbeddedPostgres(folder / "postgres", durable=False, root_home=home) as server:
        migrate(server.url())
        yield server
    shutil.rmtree(folder)


def _memory() -> Path | None:
    """A folder in memory with room for a server: there a clone takes 10 ms instead of 300."""
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
    return memory if has_room else None


def remove_data(link: Path) -> None:
    """As root the data lie behind a link."""
    if link.is_symlink() and link.resolve().parent == ROOT_HOME:
        shutil.rmtree(link.resolve())


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE activelog STRATEGY file_copy")
        yield postgres.url(name)
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def settings_for(database_url: str, folder: Path) -> Settings:
    """Objects and mails are files below the folder."""
    return Settings(
        database_url=database_url,
        secret=SECRET,
        storage=Folder(folder / "objects"),
        mail=Folder(folder / "mails"),
        mail_from="ActiveLog <hello@activelog.test>",
        base_url="http://activelog.test",
        templates=None,
        strict_queues=False,
    )


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """For processes of their own."""
    assert isinstance(settings.storage, Folder)
    assert isinstance(settings.mail, Folder)
    return dict(os.environ) | {
        "ACTIVELOG_DATABASE_URL": settings.database_url,
        "ACTIVELOG_SECRET": settings.secret,
        "ACTIVELOG_STORAGE_URL": settings.storage.path.as_uri(),
        "ACTIVELOG_SMTP_URL": settings.mail.path.as_uri(),
        "ACTIVELOG_BASE_URL": settings.base_url,
        "PROCRASTINATE_APP": "activelog.jobs.app",
        "PYTHONUNBUFFERED": "1",
    }


def full_once(table: str, when: str = "true") -> str:
    """SQL after which the first such update of that table finds the disk full."""
    return (
        "CREATE SEQUENCE tries;"
        "CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        "  IF nextval('tries') = 1 THEN RAISE disk_full; END IF; RETURN NEW; END $$;"
        f"CREATE TRIGGER fail_once BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({when})"
        " EXECUTE FUNCTION fail_once()"
    )


@dataclass
class World:
    """The application as its users meet it: over HTTP, through a worker, in SQL, in mails."""

    settings: Settings
    app: Starlette
    jobs: App
    pool: database.Pool
    http: httpx.AsyncClient
    client: str = field(default="203.0.113.7")

    @property
    def services(self) -> Services:
        services: Services = self.app.state.services
        return services

    async def work(self) -> None:
        """A worker that ends when nothing is left to start."""
        async with self.jobs.open_async():
            await self.jobs.run_worker_async(wait=False, install_signal_handlers=False)

    async def jobs_defer(self, task: str, **args: Any) -> int:
        """As `procrastinate defer` does."""
        async with self.jobs.open_async():
            return await self.jobs.configure_task(task).defer_async(**args)

    async def make_due(self) -> None:
        """As if the time of every waiting job had come."""
        await self.rows("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")

    async def rows(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as conn:
            cursor = await conn.execute(statement.encode(), params)
            return await cursor.fetchall() if cursor.description else []

    async def value(self, statement: str, *params: Any) -> Any:
        return (await self.rows(statement, *params))[0][0]

    async def until(self, statement: str) -> None:
        """Waits until the first value of the statement is true."""
        with anyio.fail_after(30):
            while not await self.value(statement):  # noqa: ASYNC110 - in another process
                await anyio.sleep(0.05)

    def mails(self, address: str) -> list[Any]:
        assert isinstance(self.settings.mail, Folder)
        return demo._mails_to(self.settings.mail.path, address)

    def token_mailed_to(self, address: str) -> str | None:
        assert isinstance(self.settings.mail, Folder)
        return demo._token_mailed_to(self.settings.mail.path, address)

    async def register(self, address: str, password: str = PASSWORD) -> httpx.Response:
        body = {"email": address, "password": password, "name": "Ada"}
        return await self.http.post("/api/v1/auth/register", json=body)

    async def sign_in(self, address: str, password: str = PASSWORD) -> httpx.Response:
        return await self.http.post(
            "/api/v1/auth/login", json={"email": address, "password": password}
        )

    async def user(self, address: str = "ada@example.com") -> "User":
        """A verified user, signed in, without the way over mails."""
        user_id = await self.value(
            "INSERT INTO users (email, name, password_hash, verified_at)"
            " VALUES (%s, 'Ada', 'none', now()) RETURNING id",
            address,
        )
        return User(self, user_id, address)


@dataclass
class User:
    world: World
    id: int
    address: str

    @property
    def headers(self) -> dict[str, str]:
        services = self.world.services
        token, _ = auth.make_token(
            services.settings.secret, "session", str(self.id), services.clock()
        )
        return {"Authorization": f"Bearer {token}"}

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = self.headers | options.pop("headers", {})
        return await self.world.http.request(method, path, headers=headers, **options)

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.call("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx.Response:
        return await self.call("POST", path, **options)

    async def log(self, **fields: Any) -> dict[str, Any]:
        body = {
            "activity_type": "running",
            "duration_minutes": 45,
            "distance_km": 7.5,
            "activity_date": "2024-01-15T06:30:00Z",
        } | fields
        response = await self.post("/api/v1/activities", json=body)
        assert response.status_code == 201, response.text
        created: dict[str, Any] = response.json()
        return created


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[World]:
    app = create_app(settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("203.0.113.7", 1))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=settings.base_url) as http,
    ):
        pool = app.state.services.pool
        yield World(settings, app, make_app(settings), pool, http)


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    async with running(settings) as found:
        yield found


MakeWorld = Callable[..., Awaitable[World]]


@pytest.fixture
def with_settings(settings: Settings) -> Callable[..., Any]:
    """`async with with_settings(base_url="…") as world`."""
    return lambda **changes: running(replace(settings, **changes))
