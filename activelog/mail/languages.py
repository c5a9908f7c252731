"""The languages of mails: how each writes dates and numbers. Their texts are folders of that name
beside the English ones (`templates/mail/welcome/de/body.txt`), and what every mail says is in
`templates/mail/de/words.toml`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from activelog.base.units import distance

LanguageCode = Literal["en", "de", "es"]

DEFAULT: LanguageCode = "en"


@dataclass(frozen=True)
class Language:
    """`day` and `day_month` are formats of a day, its month's name and its year."""

    name: str
    months: tuple[str, ...]
    weekdays: tuple[str, ...]  # short ones, from Monday on
    day: str
    day_month: str
    decimal: str = "."

    def filters(self) -> Mapping[str, Callable[..., str]]:
        """What templates write dates and numbers with."""
        return {
            "day": lambda at: self.day.format(at.day, self.months[at.month - 1], at.year),
            "day_month": lambda at: self.day_month.format(at.day, self.months[at.month - 1]),
            "moment": self._moment,
            "weekday": lambda at: self.weekdays[at.weekday()],
            "month": self._month,
            "number": self._number,
            "quantity": self._quantity,
            "distance": lambda *way: self._number(distance(*way)),
        }

    def _moment(self, at: datetime) -> str:
        return f"{self.day.format(at.day, self.months[at.month - 1], at.year)}, {at:%H:%M} UTC"

    def _month(self, first: date) -> str:
        return f"{self.months[first.month - 1]} {first.year}"

    def _number(self, shown: str) -> str:
        """Of one that is written as in English: `1,234.5 km`."""
        return shown if self.decimal == "." else shown.translate(_OTHER_MARKS)

    def _quantity(self, number: int, one: str, many: str) -> str:
        """`1 Aktivität`, `1.280 Aktivitäten`."""
        return f"{self._number(f'{number:,}')} {one if number == 1 else many}"


_OTHER_MARKS = {ord(","): ".", ord("."): ","}

_ENGLISH = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_GERMAN = (
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
)
_SPANISH = (
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
)

LANGUAGES: dict[LanguageCode, Language] = {
    "en": Language(
        "English", _ENGLISH, ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
        "{0} {1} {2}", "{0} {1}",
    ),
    "de": Language(
        "Deutsch", _GERMAN, ("Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"),
        "{0}. {1} {2}", "{0}. {1}", ",",
    ),
    "es": Language(
        "Español", _SPANISH, ("lun", "mar", "mié", "jue", "vie", "sáb", "dom"),
        "{0} de {1} de {2}", "{0} de {1}", ",",
    ),
}  # fmt: skip


def guess(accepted: str) -> LanguageCode:
    """By the Accept-Language header, which browsers send with the best-liked first."""
    for part in accepted.split(","):
        tag = part.partition(";")[0].strip().lower().partition("-")[0]
        for code in LANGUAGES:
            if tag == code:
                return code
    return DEFAULT
