"""A form that was refused, on the page where it stood: what was typed stands in it again, and
beside each field is what is wrong with it.

It works on the page's HTML, so that no form and no handler can forget it.
"""

import re
from collections.abc import Mapping
from html import escape
from html.parser import HTMLParser

from activelog.base.formatting import sentence

_FIELD_NAME = re.compile(r"\W")  # of `tags[0]`: what stands before it
_FRESH = {"once"}  # the page's own value counts

Attributes = Mapping[str, str | None]


def refilled(
    html: str, action: str, sent: Mapping[str, str], message: str, details: Mapping[str, str]
) -> str | None:
    """The page with the form of that action filled in; None if it has no such form with a field to
    fill in. What is wrong with no field that people see is said above the form."""
    wrong = {_FIELD_NAME.split(name)[0]: text for name, text in details.items()}
    form = _Form(html, action, sent, wrong)
    form.feed(html)
    form.close()
    if not form.has_fields:
        return None
    untold = [text for name, text in wrong.items() if name not in form.told]
    form.say("; ".join(untold) if details else message)
    return form.edited()


class _Form(HTMLParser):
    """Notes what to change where, in the order of the text."""

    def __init__(
        self, html: str, action: str, sent: Mapping[str, str], wrong: Mapping[str, str]
    ) -> None:
        super().__init__()
        self.told: set[str] = set()
        self._html, self._action, self._sent, self._wrong = html, action, sent, wrong
        self._lines = [0, *(found.end() for found in re.finditer("\n", html))]
        self._edits: list[tuple[int, int, str]] = []
        self._details: list[int] = []  # where each that is open could get its `open`
        self.has_fields = False  # that people see
        self._form = 0  # where it begins
        self._is_inside = False
        self._select = ""

    def say(self, text: str) -> None:
        if text:
            focus = "" if self.told else ' tabindex="-1" autofocus'
            told = f'<p class="refused" role="alert"{focus}>{escape(sentence(text))}</p>\n'
            self._edits.append((self._form, self._form, told))

    def edited(self) -> str:
        html = self._html
        for start, end, text in sorted(self._edits, reverse=True):
            html = html[:start] + text + html[end:]
        return html

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "details":
            self._details.append(self._start() + len("<details"))
        elif tag == "form":
            path = (found.get("action") or "").partition("?")[0]
            self._is_inside = path == self._action and found.get("method") == "post"
            self._form = self._start() if self._is_inside else self._form
            self._open_details()
        elif self._is_inside:
            self._fill(tag, found)

    def handle_endtag(self, tag: str) -> None:
        if tag == "details" and self._details:
            self._details.pop()
        elif tag == "form":
            self._is_inside = False
        elif tag in ("select", "textarea") and self._is_inside:
            self._tell(self._select, self._start() + len(f"</{tag}>"))

    def _open_details(self) -> None:
        if self._is_inside:
            self._edits += [(at, at, " open") for at in self._details]
            self._details.clear()

    def _fill(self, tag: str, found: Attributes) -> None:
        name = found.get("name") or ""
        if tag == "input":
            self._fill_input(name, found)
        elif tag in ("select", "textarea"):
            self._select = name
            if name in self._wrong:
                self._replace(tag, {**found, **self._marks(name)})
            if tag == "textarea" and name in self._sent:
                start = self._end()
                end = self._html.index("</textarea", start)
                self._edits.append((start, end, escape(self._sent[name])))
        elif tag == "option" and self._select in self._sent:
            rest = {key: value for key, value in found.items() if key != "selected"}
            said = found.get("value")
            if said is None:
                said = self._html[self._end() : self._html.index("<", self._end())].strip()
            is_chosen = said == self._sent[self._select]
            self._replace(tag, {**rest, **({"selected": None} if is_chosen else {})})

    def _fill_input(self, name: str, found: Attributes) -> None:
        kind, filled = found.get("type") or "text", dict(found)
        if kind == "checkbox":
            filled.pop("checked", None)
            filled |= {"checked": None} if name in self._sent else {}
        elif kind != "password" and name in self._sent and name not in _FRESH:
            filled["value"] = self._sent[name]
        if name in self._wrong and kind != "hidden":
            filled |= self._marks(name)
        self._replace("input", filled)
        if kind != "hidden":
            self._tell(name, self._end())

    def _tell(self, name: str, at: int) -> None:
        """At the end of a field that people see."""
        self.has_fields = True
        if name in self._wrong and name not in self.told:
            self.told.add(name)
            text = escape(self._wrong[name])
            told = f'<small class="wrong" id="wrong-{escape(name)}">{text}</small>'
            self._edits.append((at, at, told))

    def _marks(self, name: str) -> dict[str, str | None]:
        first: dict[str, str | None] = {} if self.told else {"autofocus": None}
        return {"aria-invalid": "true", "aria-describedby": f"wrong-{name}"} | first

    def _replace(self, tag: str, attributes: Attributes) -> None:
        parts = [
            key if value is None else f'{key}="{escape(value)}"'
            for key, value in attributes.items()
        ]
        self._edits.append((self._start(), self._end(), f"<{' '.join([tag, *parts])}>"))

    def _start(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def _end(self) -> int:
        return self._start() + len(self.get_starttag_text() or "")
