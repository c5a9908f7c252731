"""The texts of mails, from templates/mail and a folder that may override single files."""

import logging
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

import jinja2

from activelog.base import resources
from activelog.base.errors import Permanent
from activelog.base.formatting import counted, duration
from activelog.base.units import distance

_PARTS = ("subject.txt", "body.txt", "body.html")

logger = logging.getLogger(__name__)


class Templates:
    """`templates/mail/<kind>/{subject.txt,body.txt,body.html}`; `override` holds single files
    that win over ours and are read again when they change. One that is broken is reported, and
    ours is used."""

    def __init__(self, override: Path | None, base_url: str, support: str = "") -> None:
        ours = resources.folder("templates") / "mail"
        shared = {"base_url": base_url, "support": support}
        self._ours = _environment([ours], shared, auto_reload=False)
        self._first = (
            _environment([override, ours], shared, auto_reload=True) if override else self._ours
        )

    def render(self, kind: str, data: Mapping[str, Any]) -> tuple[str, str, str]:
        """Subject, text and HTML. An error in our own template is Permanent and names template and
        line."""
        if self._first is not self._ours:
            try:
                return _render(self._first, kind, data)
            except Permanent as error:
                logger.error("An overriding template is broken and not used: %s", error)
        return _render(self._ours, kind, data)


class _Folders(jinja2.FileSystemLoader):
    """Also a template that comes in front of a loaded one is a change of it."""

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        source, found, is_same = super().get_source(environment, template)

        def is_first() -> bool:
            first = next((p for p in self.searchpath if Path(p, template).is_file()), None)
            return first is not None and Path(first, template) == Path(found)

        return source, found, lambda: is_same() and is_first()

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
    folders: list[Path], shared: Mapping[str, str], *, auto_reload: bool
) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=_Folders(folders),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=auto_reload,  # costs a look at each file for each mail
    )
    # Unless the mail says others.
    defaults = {"units": "km", "reason": "because of your ActiveLog account"}
    environment.globals |= defaults | dict(shared)
    environment.filters |= {"counted": counted, "distance": distance, "duration": duration}
    return environment


def _render(
    environment: jinja2.Environment, kind: str, data: Mapping[str, Any]
) -> tuple[str, str, str]:
    part = _PARTS[0]
    try:
        texts = []
        for part in _PARTS:
            texts.append(environment.get_template(f"{kind}/{part}").render(data))
    except jinja2.TemplateSyntaxError as error:
        raise Permanent(f"template {error.name}, line {error.lineno}: {error.message}") from error
    except Exception as error:
        line = _line_in_template(error)
        raise Permanent(f"template {kind}/{part}{line}: {error}") from error
    subject, text, html = texts
    foot = environment.get_template("foot.txt").render(data)
    return " ".join(subject.split()), text.rstrip() + "\n" + foot, html


def _line_in_template(error: Exception) -> str:
    """Jinja2 rewrites tracebacks so that the frames of templates have their lines."""
    found, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith((".txt", ".html")):
            found = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return found
