"""Mails in the languages that come with it: nothing is left out, nothing is left in English."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from activelog.base import resources
from activelog.base.settings import Settings
from activelog.mail import LANGUAGES, LanguageCode, MailKind, Templates, guess
from activelog.statistics.mails import ASKED_FOR
from activelog.web import MAILS
from tests.conftest import World, running

OTHERS: list[LanguageCode] = [code for code in LANGUAGES if code != "en"]
KINDS = {kind.name: kind for kind in MAILS}
ENGLISH = re.compile(
    r"\b(the|you|your|this|with|until|and|more|week|last|because|on|file|activities)\b",
    re.IGNORECASE,
)
URL = re.compile(r"https?://[^\s\"'<]+")

REGISTER = "/api/v1/auth/register"
PROFILE = "/api/v1/users/me"


def told(
    kind: MailKind, language: LanguageCode, templates: Templates | None = None
) -> tuple[str, str, str]:
    ours = templates or Templates(None, "https://activelog.example", "help@activelog.example")
    frame = {"name": "Ada Lovelace", "reason": kind.reason, "unsubscribe_url": "https://x.test/u"}
    return ours.render(kind.name, frame | dict(kind.fixture), language, kind.fixture)


def without_markup(html: str) -> str:
    return re.sub(r"<style>.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL)


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_mail_tells_the_same_in_every_language(kind: MailKind, language: LanguageCode) -> None:
    folder = resources.folder("templates") / "mail" / kind.name
    assert {path.name for path in (folder / language).iterdir()} == {
        path.name for path in folder.iterdir() if path.is_file()
    }
    english, translated = told(kind, "en"), told(kind, language)
    for ours, theirs in zip(english, translated, strict=True):
        assert theirs != ours
        assert sorted(URL.findall(theirs)) == sorted(URL.findall(ours))
    assert f'<html lang="{language}">' in translated[2]
    given = kind.fixture.get("error", "-")  # an error is told as it was kept
    for text in (translated[0], translated[1], without_markup(translated[2])):
        left = ENGLISH.findall(URL.sub("", text).replace(given, ""))
        assert left == [], f"English was left: {left}"


@pytest.mark.parametrize("language", OTHERS)
def test_the_weekly_mail_of_a_week_without_activities_is_translated(
    language: LanguageCode,
) -> None:
    week = KINDS["weekly_summary"].fixture["week"]
    nothing = type(week.totals)(**vars(week.totals) | {"activities": 0})
    idle = type(week)(**vars(week) | {"totals": nothing})
    content = dict(KINDS["weekly_summary"].fixture) | {"week": idle}
    kind = replace(KINDS["weekly_summary"], fixture=content)
    for text in told(kind, language)[:2]:
        assert ENGLISH.findall(URL.sub("", text)) == []


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize(
    "reason", sorted({kind.reason for kind in (*MAILS, ASKED_FOR)}), ids=lambda text: text[8:40]
)
def test_every_reason_is_translated(reason: str, language: LanguageCode) -> None:
    kind = replace(KINDS["welcome"], reason=reason)
    foot = told(kind, language)[1].rpartition("-- \n")[2]
    assert "because" not in foot, f"{reason!r} is not in templates/mail/{language}/words.toml"


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("fr-CH, es;q=0.7", "es"),
        ("en-GB,de;q=0.1", "en"),
        ("*", "en"),
        ("", "en"),
        ("x" * 9000, "en"),
    ],
)
def test_a_browser_says_the_language(accepted: str, language: LanguageCode) -> None:
    assert guess(accepted) == language


async def test_somebody_is_written_to_in_their_language(world: World) -> None:
    new = {"email": "eva@example.com", "password": "correct horse battery", "name": "Eva"}
    accepted = await world.http.post(
        REGISTER, json=new, headers={"Accept-Language": "de-DE,de;q=0.8"}
    )
    assert accepted.status_code == 202
    await world.work()
    subjects = {mail["Subject"] for mail in world.mails("eva@example.com")}
    assert subjects == {"Bestätige deine Adresse für ActiveLog", "Willkommen bei ActiveLog!"}


async def test_a_person_chooses_the_language_of_mails(world: World) -> None:
    ada = await world.user()
    assert (await ada.get(PROFILE)).json()["language"] == "en"
    changed = await ada.call("PATCH", PROFILE, json={"language": "es"})
    assert changed.json()["language"] == "es"
    refused = await ada.call("PATCH", PROFILE, json={"language": "tlh"})
    assert refused.status_code == 400
    assert "language" in refused.text
    now = datetime.now(UTC).isoformat()
    await ada.log(duration_minutes=60, distance_km=7.5, activity_date=now)
    await ada.post("/api/v1/users/me/reports/weekly-summary")
    await world.make_due()
    await world.work()
    [mail] = world.mails(ada.address)
    assert mail["Subject"] == "Tu resumen semanal: 1 actividad, 1 h"
    text = mail.get_body(("plain",)).get_content()
    assert "Distancia: 7,50 km (nada la semana anterior)" in text
    assert "Recibes este correo porque lo pediste." in text


def test_an_override_is_tried_with_made_up_content_before_anybody_gets_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kind = KINDS["export_ready"]
    one = dict(kind.fixture) | {"exports": kind.fixture["exports"][:1], "total": 1}
    (tmp_path / "export_ready").mkdir()
    path = tmp_path / "export_ready" / "subject.txt"
    path.write_text("{% if total == 1 %}One{% else %}{{ exports[5].url }}{% endif %}")
    templates = Templates(tmp_path, "https://x.test")
    frame = {"name": "Ada", "unsubscribe_url": ""}
    subject = templates.render("export_ready", frame | one, "en", kind.fixture)[0]
    assert subject == "Your export is ready: 1,280 activities"
    assert "export_ready/subject.txt, line 1" in caplog.text
    path.write_text("{% if total == 1 %}One{% else %}Many of them{% endif %}")
    assert templates.render("export_ready", frame | one, "en", kind.fixture)[0] == "One"


@pytest.mark.parametrize("content", [b"Bye {{ adress }}", b"{% if %}", "Tschüß".encode("latin-1")])
def test_a_broken_foot_is_told_of_and_ours_is_used(tmp_path: Path, content: bytes) -> None:
    kind = KINDS["welcome"]
    (tmp_path / "foot.txt").write_bytes(content)
    (tmp_path / ".#subject.txt").symlink_to("root@host.123")  # as Emacs does
    templates = Templates(tmp_path, "https://x.test")
    frame = {"name": "Ada", "unsubscribe_url": ""}
    _, text, _ = templates.render("welcome", frame | dict(kind.fixture), "en", kind.fixture)
    assert "because of your ActiveLog account" in text
    assert "foot.txt" in (templates.problem(KINDS.values()) or "")
    (tmp_path / "foot.txt").write_text("Bye\n")
    assert templates.problem(KINDS.values()) is None
    assert Templates(None, "https://x.test").problem(KINDS.values()) is None


async def test_an_override_of_one_language_leaves_the_others(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "welcome" / "de").mkdir(parents=True)
    (tmp_path / "welcome" / "de" / "subject.txt").write_text("Moin {{ name }}")
    (tmp_path / "welcome" / "subject.txt").write_text("Ahoy {{ name }}")
    async with running(replace(settings, templates=tmp_path)) as world:
        templates = world.services.outbox.templates
        welcome = KINDS["welcome"]
        subjects = {code: told(welcome, code, templates)[0] for code in LANGUAGES}
    assert subjects["en"] == "Ahoy Ada Lovelace"
    assert subjects["de"] == "Moin Ada Lovelace"
    assert subjects["es"] == "Te damos la bienvenida a ActiveLog, Ada Lovelace"
