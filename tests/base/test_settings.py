import re
from pathlib import Path

import pytest

from activelog.base import settings as settings_module
from activelog.base.settings import EXAMPLE_SECRET, S3, Folder, Settings, SettingsError, Smtp

GOOD = {
    "ACTIVELOG_DATABASE_URL": "postgresql://app:dbpass@db/activelog",
    "ACTIVELOG_SECRET": "x" * 32,
}


def read(**changes: str) -> Settings:
    return Settings.from_env(GOOD | {f"ACTIVELOG_{name}": text for name, text in changes.items()})


def test_two_settings_are_enough() -> None:
    settings = Settings.from_env(GOOD)
    assert isinstance(settings.storage, Folder)
    assert isinstance(settings.mail, Folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "mysql://x"),
        ("SECRET", ""),
        ("SECRET", "short"),
        ("SECRET", EXAMPLE_SECRET),
        ("DATABASE_URL", "postgresql://app:se%zzcret@db/x"),
        ("STORAGE_URL", "file://var/objects"),
        ("STORAGE_URL", "s3+https://KEY:hun/ter2@host/bucket"),
        ("SMTP_URL", "smtp://user:hunter2/x@host:587"),
        ("STORAGE_URL", "s3+https://host/bucket"),
        ("STORAGE_URL", "s3+https://KEY:SECRET@host"),
        ("STORAGE_URL", "ftp://host/dir"),
        ("STORAGE_URL", "s3+https://KEY:SECRET@host:port/bucket"),
        ("SMTP_URL", "imap://host"),
        ("SMTP_URL", "smtp://"),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "ActiveLog <hello@müller.example>"),
        ("BASE_URL", "https://müller.example"),
        ("BASE_URL", "activelog.example"),
        ("BASE_URL", "https://user:hunter2@host.example"),
        ("BASE_URL", "https://host.example/?a=b"),
        ("BASE_URL", "https://host.example/#top"),
        ("TEMPLATES", "/no/such/folder"),
        ("QUEUES", "fair"),
        ("KEEP_FAILED_DAYS", "0"),
        ("KEEP_FAILED_DAYS", "9" * 5000),
        ("REGISTRATIONS_PER_HOUR", "-1"),
        ("REGISTRATIONS_PER_HOUR", "0"),
        ("KEEP_SUCCEEDED_DAYS", "a week"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as error:
        read(**{name: value})
    assert f"ACTIVELOG_{name}" in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(part in str(error.value) for part in ("hun", "ter2", "se%zzcret"))


def test_an_empty_variable_is_as_one_that_is_not_there() -> None:
    names = set(re.findall(r'"(ACTIVELOG_[A-Z_]+)"', Path(settings_module.__file__).read_text()))
    assert len(names) > 25
    assert Settings.from_env(dict.fromkeys(names, "") | GOOD) == Settings.from_env(GOOD)


@pytest.mark.parametrize("where", ["maildir:", "pop3://a:b@host", "imaps://host/INBOX",
                                   "imaps://a:b@host:port/INBOX"])  # fmt: skip
def test_a_wrong_bounce_mailbox_is_said_at_the_start(where: str) -> None:
    with pytest.raises(SettingsError, match="ACTIVELOG_BOUNCES_MAILBOX"):
        read(BOUNCES_MAILBOX=where)


def test_urls_are_read_whole() -> None:
    settings = read(
        STORAGE_URL="s3+https://KEY:S%2FCRET@s3.example:9000/bucket?region=eu-1",
        STORAGE_PUBLIC_URL="https://files.example/",
        SMTP_URL="smtp+starttls://app%40x.y:p%40ss@relay.example",
    )
    assert settings.storage == S3(
        "s3.example:9000", True, "KEY", "S/CRET", "bucket", "eu-1", "https://files.example"
    )
    assert settings.mail == Smtp("relay.example", 587, "starttls", "app@x.y", "p@ss")


def test_no_secret_shows_in_a_printed_value() -> None:
    text = repr(read(STORAGE_URL="s3+http://KEY:hidden@h/b", SMTP_URL="smtps://u:hidden@h"))
    assert "hidden" not in text
    assert "dbpass" not in text
    assert "x" * 32 not in text
