"""The texts of mails, from templates/mail and a folder that may override single files."""

import logging
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import jinja2

from activelog.base import resources
from activelog.base.errors import Permanent
from activelog.base.formatting import counted, duration, sentence
from activelog.mail.languages import DEFAULT, LANGUAGES, LanguageCode
from activelog.mail.model import MailKind

_PARTS = ("subject.txt", "body.txt", "body.html")

logger = logging.getLogger(__name__)


class Templates:
    """`templates/mail/<kind>/{subject.txt,body.txt,body.html}`, in a language `<kind>/<language>/…`
    where there is such a file. `override` holds single files that win over ours and are read again
    when they change. One that is broken is reported, and ours is used."""

    def __init__(self, override: Path | None, base_url: str, support: str = "") -> None:
        self._override = override
        self._shared = {"base_url": base_url, "support": support}
        self._environments: dict[tuple[str, bool], jinja2.Environment] = {}
        self._tried: dict[tuple[str, str], tuple[object, bool]] = {}

    def render(
        self,
        kind: str,
        data: Mapping[str, Any],
        language: LanguageCode = DEFAULT,
        fixture: Mapping[str, Any] | None = None,
    ) -> tuple[str, str, str]:
        """Subject, text and HTML. `fixture` is made-up content of the kind, which a template that
        changed must be able to tell before it is used. An error in our own template is Permanent
        and names template and line."""
        if self._override is not None and self._is_usable(
            kind, {**data, **(fixture or {})}, language
        ):
            try:
                return _render(self._environment(language, is_first=True), kind, data)
            except Permanent as error:
                logger.error("An overriding template is broken and not used: %s", error)
        return _render(self._environment(language, is_first=False), kind, data)

    def problem(self, kinds: Iterable[MailKind]) -> str | None:
        """What is wrong with a file of the folder that overrides ours; None: nothing is."""
        if self._override is None:
            return None
        for kind in kinds:
            for language in LANGUAGES:
                frame = {"name": "Ada", "unsubscribe_url": None, **kind.fixture}
                if found := self._fault(kind.name, frame, language):
                    return f"{found}, in {language}: ours is used in its place"
        return None

    def _is_usable(self, kind: str, fixture: Mapping[str, Any], language: LanguageCode) -> bool:
        """What the folder holds now is tried once."""
        assert self._override is not None
        state = _state_of(self._override)
        before, is_usable = self._tried.get((kind, language), (None, True))
        if before != state:
            fault = self._fault(kind, fixture, language)
            if fault:
                logger.error("An overriding template is broken and not used: %s", fault)
            is_usable = fault is None
            self._tried[kind, language] = (state, is_usable)
        return is_usable

    def _fault(self, kind: str, fixture: Mapping[str, Any], language: LanguageCode) -> str | None:
        """Why an overriding template cannot tell the fixture."""
        try:
            _render(self._environment(language, is_first=True), kind, fixture)
        except Permanent as error:
            return str(error)
        return None

    def _environment(self, language: LanguageCode, *, is_first: bool) -> jinja2.Environment:
        key = language, is_first
        if key not in self._environments:
            ours = resources.folder("templates") / "mail"
            folders = [self._override, ours] if is_first and self._override else [ours]
            self._environments[key] = _environment(
                folders, language, self._shared, auto_reload=is_first
            )
        return self._environments[key]


def _state_of(folder: Path) -> object:
    """Another one when a file of it changed, came or went. (An editor's own files come and go.)"""
    found = []
    for path in sorted(folder.rglob("[!.]*.*")):
        with suppress(FileNotFoundError):
            found.append((path, path.stat().st_mtime_ns))
    return found


class _Folders(jinja2.FileSystemLoader):
    """Files of the language come first. Also a template that comes in front of a loaded one is a
    change of it."""

    def __init__(self, folders: list[Path], language: LanguageCode) -> None:
        super().__init__(folders)
        self._language = language

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        source, found, is_same = super().get_source(environment, self._first_of(template))
        return source, found, lambda: is_same() and self._path(self._first_of(template)) == found

    def _first_of(self, template: str) -> str:
        folder, _, name = template.rpartition("/")
        translated = "/".join(part for part in (folder, self._language, name) if part)
        return translated if self._path(translated) else template

    def _path(self, template: str) -> str | None:
        paths = (os.path.join(folder, template) for folder in self.searchpath)  # noqa: PTH118 - as Jinja2 names it
        return next((path for path in paths if os.path.isfile(path)), None)  # noqa: PTH113

    def load(
        self,
        environment: jinja2.Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja2's own name
    ) -> jinja2.Template:
        """With globals in a plain dict: each rendering copies them, and Jinja2's chain of maps
        makes a fifth of its time of that."""
        return super().load(environment, name, dict(globals or {}))


def _environment(
    folders: list[Path], language: LanguageCode, shared: Mapping[str, str], *, auto_reload: bool
) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=_Folders(folders, language),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=auto_reload,  # costs a look at each file for each mail
    )
    # Unless the mail says others.
    defaults = {"units": "km", "reason": "because of your ActiveLog account"}
    environment.globals |= (
        defaults | dict(shared) | {"language": language, "words": _words(language)}
    )
    environment.filters |= {"counted": counted, "duration": duration}
    environment.filters |= LANGUAGES[language].filters()
    environment.filters["sentence"] = sentence
    environment.filters["said"] = partial(_said, _words(language)["phrases"])
    return environment


def _said(phrases: Mapping[str, str], text: str) -> str:
    """What our code put together of English phrases: `+25 % on last week`."""
    for english, translated in phrases.items():
        text = text.replace(english, translated)
    return text


@cache
def _words(language: LanguageCode) -> dict[str, Any]:
    """What every mail says. `reasons` and `phrases` translate what our code says in English."""
    folder = resources.folder("templates") / "mail"
    found: dict[str, Any] = {}
    for path in (folder / "words.toml", folder / language / "words.toml"):
        if path.is_file():
            found |= tomllib.loads(path.read_text("utf-8"))
    return found


def _render(
    environment: jinja2.Environment, kind: str, data: Mapping[str, Any]
) -> tuple[str, str, str]:
    name, texts = "", []
    try:
        for name in (*(f"{kind}/{part}" for part in _PARTS), "foot.txt"):
            texts.append(environment.get_template(name).render(data))
    except jinja2.TemplateSyntaxError as error:
        raise Permanent(f"template {error.name}, line {error.lineno}: {error.message}") from error
    except Exception as error:
        raise Permanent(f"template {name}{_line_in_template(error)}: {error}") from error
    subject, text, html, foot = texts
    return " ".join(subject.split()), text.rstrip() + "\n" + foot, html


def _line_in_template(error: Exception) -> str:
    """Jinja2 rewrites tracebacks so that the frames of templates have their lines."""
    found, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith((".txt", ".html")):
            found = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return found
