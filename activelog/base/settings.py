"""Every setting, read once from the environment. Nothing else reads it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from activelog.base.errors import CommandError

EXAMPLE_SECRET = "change-me-to-32-random-characters"  # noqa: S105 - the one that we refuse
SHORTEST_SECRET = 32


class SettingsError(CommandError):
    """A setting that is missing or wrong, in one line that names it."""


@dataclass(frozen=True)
class Folder:
    """Objects or mails as files below `path`."""

    path: Path


@dataclass(frozen=True)
class S3:
    """A bucket of any S3 server. `public_url` is where browsers reach the same server."""

    endpoint: str
    secure: bool
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str
    region: str
    public_url: str | None = None


@dataclass(frozen=True)
class Smtp:
    """A mail relay; `starttls` and `tls` verify its certificate."""

    host: str
    port: int
    security: Literal["plain", "starttls", "tls"]
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Quotas:
    """What one person may keep, and import within a day."""

    activities: int = 1_000_000
    photo_mb: int = 10_000
    export_mb: int = 5_000
    imports_per_day: int = 200

    def of(self, thing: str) -> int:
        """`activities`, `photo_bytes`, `export_bytes` or `imports_today`."""
        return {
            "activities": self.activities,
            "photo_bytes": self.photo_mb * 1_000_000,
            "export_bytes": self.export_mb * 1_000_000,
            "imports_today": self.imports_per_day,
        }[thing]

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Quotas":
        return cls(
            activities=_count(environ, "ACTIVELOG_QUOTA_ACTIVITIES", cls.activities),
            photo_mb=_count(environ, "ACTIVELOG_QUOTA_PHOTO_MB", cls.photo_mb),
            export_mb=_count(environ, "ACTIVELOG_QUOTA_EXPORT_MB", cls.export_mb),
            imports_per_day=_count(environ, "ACTIVELOG_QUOTA_IMPORTS_PER_DAY", cls.imports_per_day),
        )


@dataclass(frozen=True)
class Settings:
    database_url: str = field(repr=False)
    secret: str = field(repr=False)
    storage: S3 | Folder
    mail: Smtp | Folder
    mail_from: str
    base_url: str
    templates: Path | None
    strict_queues: bool
    fonts: Path | None = None
    keep_succeeded_days: int = 7
    keep_failed_days: int = 30
    mails_per_second: float | None = None
    weekly_active_days: int = 28
    weekly_spread_minutes: int = 60
    weekly_local: bool = False
    webhooks_private: bool = False
    bounces: str | None = None  # an address that mails come back to, each with its own +suffix
    bounces_mailbox: str | None = field(default=None, repr=False)  # where they lie
    dkim_key: Path | None = None
    dkim_selector: str = "activelog"
    support: str = ""  # an address or a page, at the foot of mails
    json_logs: bool = False
    registrations_per_hour: int = 2000
    quotas: Quotas = Quotas()
    metrics_token: str | None = field(default=None, repr=False)
    # Past a pooler, for what needs a session of its own: LISTEN, migrations, the worker's own.
    database_direct_url: str | None = field(default=None, repr=False)
    # A standby: for what is read and need not be read from the primary.
    database_replica_url: str | None = field(default=None, repr=False)
    db_connections: int | None = None  # of a process's pool, at most

    @property
    def direct_url(self) -> str:
        return self.database_direct_url or self.database_url

    @property
    def is_pooled(self) -> bool:
        return self.direct_url != self.database_url

    @property
    def other_database_urls(self) -> dict[str, str | None]:
        """By the names of their settings; they lead to the database of `database_url`, too."""
        return {
            "ACTIVELOG_DATABASE_DIRECT_URL": self.database_direct_url,
            "ACTIVELOG_DATABASE_REPLICA_URL": self.database_replica_url,
        }

    def font_files(self) -> list[str]:
        """What the folder of fonts holds, for characters that our own ones lack."""
        if self.fonts is None:
            return []
        files = sorted(self.fonts.iterdir())
        return [str(path) for path in files if path.suffix.lower() in (".ttf", ".otf")]

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Reads the ACTIVELOG_* variables; raises SettingsError for the first wrong one."""
        return cls(
            database_url=_database_url(environ, "ACTIVELOG_DATABASE_URL"),
            database_direct_url=_other_database_url(environ, "ACTIVELOG_DATABASE_DIRECT_URL"),
            database_replica_url=_other_database_url(environ, "ACTIVELOG_DATABASE_REPLICA_URL"),
            db_connections=_count(environ, "ACTIVELOG_DB_CONNECTIONS", 0) or None,
            secret=_secret(environ),
            storage=_storage(environ),
            mail=_mail(environ),
            mail_from=_mail_from(environ),
            base_url=_base_url(environ),
            templates=_existing_folder(environ, "ACTIVELOG_TEMPLATES"),
            fonts=_existing_folder(environ, "ACTIVELOG_FONTS"),
            strict_queues=_strict_queues(environ),
            keep_succeeded_days=_days(
                environ, "ACTIVELOG_KEEP_SUCCEEDED_DAYS", cls.keep_succeeded_days
            ),
            keep_failed_days=_days(environ, "ACTIVELOG_KEEP_FAILED_DAYS", cls.keep_failed_days),
            weekly_active_days=_days(
                environ, "ACTIVELOG_WEEKLY_ACTIVE_DAYS", cls.weekly_active_days
            ),
            weekly_spread_minutes=_minutes(
                environ, "ACTIVELOG_WEEKLY_SPREAD_MINUTES", cls.weekly_spread_minutes
            ),
            weekly_local=_yes(environ, "ACTIVELOG_WEEKLY_LOCAL"),
            support=_support(environ),
            bounces=_bounces(environ),
            dkim_key=Path(environ["ACTIVELOG_DKIM_KEY"])
            if environ.get("ACTIVELOG_DKIM_KEY")
            else None,
            dkim_selector=environ.get("ACTIVELOG_DKIM_SELECTOR") or cls.dkim_selector,
            bounces_mailbox=_bounces_mailbox(environ),
            webhooks_private=_yes(environ, "ACTIVELOG_WEBHOOKS_PRIVATE"),
            mails_per_second=_rate(environ, "ACTIVELOG_MAILS_PER_SECOND"),
            json_logs=_json_logs(environ),
            registrations_per_hour=_count(
                environ, "ACTIVELOG_REGISTRATIONS_PER_HOUR", cls.registrations_per_hour
            ),
            quotas=Quotas.from_env(environ),
            metrics_token=environ.get("ACTIVELOG_METRICS_TOKEN", "").strip() or None,
        )


def _bounces(environ: Mapping[str, str]) -> str | None:
    address = environ.get("ACTIVELOG_BOUNCES", "").strip()
    if address and not re.fullmatch(r"[\w.-]{1,30}@[\w.-]+", address, re.ASCII):
        raise SettingsError(
            "ACTIVELOG_BOUNCES must be an address like bounces@example.com, of whose mailbox also"
            " bounces+anything@example.com is one"
        )
    return address or None


def _bounces_mailbox(environ: Mapping[str, str]) -> str | None:
    value = environ.get("ACTIVELOG_BOUNCES_MAILBOX") or None
    if value is not None:
        mailbox_url(value)
    return value


def mailbox_url(value: str) -> SplitResult:
    """Of mails that come back. Raises SettingsError."""
    url = _split("ACTIVELOG_BOUNCES_MAILBOX", value)
    is_imap = url.scheme in ("imaps", "imap") and url.hostname and url.username
    if not is_imap and not (url.scheme == "maildir" and url.path):
        raise SettingsError(
            "ACTIVELOG_BOUNCES_MAILBOX must be maildir:/path or imaps://user:password@host/INBOX"
        )
    return url


def _support(environ: Mapping[str, str]) -> str:
    support = environ.get("ACTIVELOG_SUPPORT", "").strip()
    if support and not re.fullmatch(r"https?://\S+|[^@\s<>]+@[^@\s<>]+", support):
        raise SettingsError("ACTIVELOG_SUPPORT must be a mail address or the address of a page")
    return support


def _yes(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name) or "no"
    if value not in ("yes", "no"):
        raise SettingsError(f"{name} must be yes or no (the default)")
    return value == "yes"


def _json_logs(environ: Mapping[str, str]) -> bool:
    value = environ.get("ACTIVELOG_LOGS") or "text"
    if value not in ("text", "json"):
        raise SettingsError("ACTIVELOG_LOGS must be text (the default) or json")
    return value == "json"


def _other_database_url(environ: Mapping[str, str], name: str) -> str | None:
    return _database_url(environ, name) if environ.get(name) else None


def _database_url(environ: Mapping[str, str], name: str) -> str:
    url = environ.get(name, "")
    try:
        conninfo_to_dict(url)
    except ProgrammingError:
        url = ""
    if not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError(
            f"{name} must be a postgresql:// URL, in whose password % / @ and : are written %25 %2F"
            " %40 and %3A (`activelog up` brings a Postgres of its own and needs none)"
        )
    return url


def _secret(environ: Mapping[str, str]) -> str:
    secret = environ.get("ACTIVELOG_SECRET", "")
    if secret == EXAMPLE_SECRET or len(secret) < SHORTEST_SECRET:
        raise SettingsError(
            f"ACTIVELOG_SECRET must be at least {SHORTEST_SECRET} random characters of your own "
            '(python -c "import secrets; print(secrets.token_urlsafe(32))")'
        )
    return secret


def _storage(environ: Mapping[str, str]) -> S3 | Folder:
    value = environ.get("ACTIVELOG_STORAGE_URL") or "file:var/objects"
    url = _split("ACTIVELOG_STORAGE_URL", value)
    if url.scheme == "file":
        return _folder("ACTIVELOG_STORAGE_URL", url)
    bucket = url.path.strip("/")
    if url.scheme not in ("s3+http", "s3+https") or not (url.hostname and url.username and bucket):
        raise SettingsError(
            "ACTIVELOG_STORAGE_URL must be s3+https://KEY:SECRET@host/bucket?region=… or file:///dir"
        )
    return S3(
        endpoint=_host_and_port(url),
        secure=url.scheme == "s3+https",
        access_key=unquote(url.username),
        secret_key=unquote(url.password or ""),
        bucket=bucket,
        region=parse_qs(url.query).get("region", ["us-east-1"])[0],
        public_url=_http_url(environ, "ACTIVELOG_STORAGE_PUBLIC_URL", None),
    )


_SMTP_SCHEMES: dict[str, tuple[Literal["plain", "starttls", "tls"], int]] = {
    "smtp": ("plain", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}


def _mail(environ: Mapping[str, str]) -> Smtp | Folder:
    value = environ.get("ACTIVELOG_SMTP_URL") or "file:var/mails"
    url = _split("ACTIVELOG_SMTP_URL", value)
    if url.scheme == "file":
        return _folder("ACTIVELOG_SMTP_URL", url)
    if url.scheme not in _SMTP_SCHEMES or not url.hostname:
        raise SettingsError(
            "ACTIVELOG_SMTP_URL must be smtp+starttls://user:password@host:587, smtps://… or smtp://…"
        )
    security, port = _SMTP_SCHEMES[url.scheme]
    return Smtp(
        host=url.hostname,
        port=url.port or port,
        security=security,
        user=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
    )


def _mail_from(environ: Mapping[str, str]) -> str:
    value = environ.get("ACTIVELOG_MAIL_FROM") or "ActiveLog <activelog@localhost>"
    address = parseaddr(value)[1]
    if "@" not in address or "\n" in value:
        raise SettingsError("ACTIVELOG_MAIL_FROM must be like ActiveLog <hello@example.com>")
    if not address.isascii():
        raise SettingsError("ACTIVELOG_MAIL_FROM: write its domain in the ASCII form, xn--…")
    return value


def _base_url(environ: Mapping[str, str]) -> str:
    return _http_url(environ, "ACTIVELOG_BASE_URL", "http://127.0.0.1:8000") or ""


def _http_url(environ: Mapping[str, str], name: str, default: str | None) -> str | None:
    value = environ.get(name) or default
    if value is None:
        return None
    url = _split(name, value)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise SettingsError(f"{name} must be an http:// or https:// URL")
    if url.username or url.password or url.query or url.fragment:
        raise SettingsError(f"{name} must have no user, password, ? and #")
    if not value.isascii():
        raise SettingsError(f"{name}: write the host in its ASCII form, xn--…, the rest as %XX")
    return value.rstrip("/")


def _existing_folder(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name)
    if not value:
        return None
    path = Path(value).absolute()
    if not path.is_dir():
        raise SettingsError(f"{name}: {path} is not a folder")
    return path


def _strict_queues(environ: Mapping[str, str]) -> bool:
    order = environ.get("ACTIVELOG_QUEUES") or "shared"
    if order not in ("shared", "strict"):
        raise SettingsError(f"ACTIVELOG_QUEUES must be shared or strict, not {order!r}")
    return order == "strict"


def _whole(value: str) -> int:
    """-1 for what is no whole number from 0 on, or too long for one."""
    return int(value) if value.isdecimal() and len(value) < 20 else -1


def _days(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name) or str(default)
    if not 1 <= _whole(value) <= 3650:
        raise SettingsError(f"{name} must be a number of days from 1 to 3650, not {value!r}")
    return int(value)


def _minutes(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name) or str(default)
    if not 0 <= _whole(value) <= 24 * 60:
        raise SettingsError(f"{name} must be a number of minutes up to 1440, not {value!r}")
    return int(value)


def _count(environ: Mapping[str, str], name: str, default: int) -> int:
    value = environ.get(name) or str(default)
    least = 1 if environ.get(name) else 0
    if _whole(value) < least:
        raise SettingsError(f"{name} must be a whole number from 1, not {value!r}")
    return int(value)


def _rate(environ: Mapping[str, str], name: str) -> float | None:
    value = environ.get(name)
    if not value:
        return None
    try:
        rate = float(value)
    except ValueError:
        rate = 0
    if not 0.01 <= rate <= 100_000:
        raise SettingsError(f"{name} must be a number from 0.01 to 100000, not {value!r}")
    return rate


def _folder(name: str, url: SplitResult) -> Folder:
    if url.netloc:
        raise SettingsError(f"{name}: a folder is written file:///absolute/path")
    return Folder(Path(unquote(url.path)).absolute())


def _split(name: str, value: str) -> SplitResult:
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        # What urlsplit says quotes the value, and the value may hold a password.
        raise SettingsError(
            f"{name} is not a URL; characters like / and @ in a password are written %2F and %40"
        ) from None
    return url


def _host_and_port(url: SplitResult) -> str:
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{url.port}" if url.port else host
