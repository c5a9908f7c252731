"""How somebody likes distances and weeks. Kept and sent are kilometres; weeks of the API begin on
Mondays."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Units = Literal["km", "mi"]
WeekStart = Literal["monday", "sunday", "saturday"]

_KILOMETRES = {"km": 1.0, "mi": 1.609344}
_SHIFTS = {"monday": 0, "sunday": 1, "saturday": 2}  # days by which weeks begin before Monday


@dataclass(frozen=True)
class Habits:
    units: Units = "km"
    week_start: WeekStart = "monday"

    @property
    def week_shift(self) -> int:
        return _SHIFTS[self.week_start]

    def week_of(self, day: date) -> date:
        """The first day of its week."""
        return day - timedelta(days=(day.weekday() + self.week_shift) % 7)


def in_units(kilometres: float, units: Units) -> float:
    return kilometres / _KILOMETRES[units]


def in_kilometres(distance: float, units: Units) -> float:
    """To the metre."""
    return round(distance * _KILOMETRES[units], 3)


def distance(kilometres: float, units: Units, digits: int = 1) -> str:
    """`7.5 km`, `4.7 mi`."""
    return f"{in_units(kilometres, units):,.{digits}f} {units}"


def pace(kilometres: float, minutes: float, units: Units) -> str:
    """`6:00 min/km`; "" where nothing went anywhere."""
    if not kilometres or not minutes:
        return ""
    seconds = round(minutes * 60 / in_units(kilometres, units))
    return f"{seconds // 60}:{seconds % 60:02} min/{units}"


def speed(kilometres: float, minutes: float, units: Units) -> str:
    """`20.4 km/h`, `12.7 mph`."""
    if not kilometres or not minutes:
        return ""
    unit = "km/h" if units == "km" else "mph"
    return f"{in_units(kilometres, units) / minutes * 60:,.1f} {unit}"
