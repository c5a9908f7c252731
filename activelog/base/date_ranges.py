"""Dates as clients write them: a day (`2024-01-31`), a moment (`2024-01-31T23:59:59Z`), a month
(`2024-01`) or a year; and which activities they choose. An activity's days are those of the place
where it happened; all others are in UTC."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from activelog.base.errors import AppError
from activelog.base.formatting import as_stored

FIRST_YEAR, LAST_YEAR = 1900, 2199
LONGEST_YEARS = 100
# What a start_date and an end_date are, for people.
ENDS = (
    "a day of the place where an activity happened, or a moment like 2024-01-01T00:00:00Z;"
    " both ends count"
)
_A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class TimeRange:
    """From `start` on and before `until`; None is open. `starts_day`, `ends_day`: whether that is
    where a day begins or ends, on whatever clock, and no moment."""

    start: datetime | None
    until: datetime | None
    starts_day: bool = False
    ends_day: bool = False

    def params(self) -> dict[str, datetime | None]:
        return {"start": self.start, "until": self.until}


@dataclass(frozen=True)
class Selection:
    """One user's activities of a time range, all or those of a type or with a tag."""

    user_id: int
    times: TimeRange
    type: str | None = None
    tag: str | None = None

    def params(self) -> dict[str, Any]:
        """Bounds of moments, for an index, and of days of the places: no clock is a day ahead or
        behind."""
        start, until = self.times.start, self.times.until
        first_day = start if self.times.starts_day else None
        until_day = until if self.times.ends_day else None
        return {
            "user_id": self.user_id,
            "type": None if self.type is None else as_stored(self.type),
            "tag": None if self.tag is None else as_stored(self.tag),
            "start": first_day - _A_DAY if first_day else start,
            "until": until_day + _A_DAY if until_day else until,
            "first_day": first_day and first_day.date(),
            "until_day": until_day and until_day.date(),
        }


@dataclass(frozen=True)
class DateRange:
    """Whole days from `first` on and before `until`, with a name for people."""

    first: date
    until: date
    name: str

    @property
    def days(self) -> int:
        return (self.until - self.first).days

    @property
    def last(self) -> date:
        return self.until - timedelta(days=1)

    @property
    def times(self) -> TimeRange:
        return TimeRange(midnight(self.first), midnight(self.until), starts_day=True, ends_day=True)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def month_of(day: date) -> DateRange:
    """The month of that day."""
    first = day.replace(day=1)
    return DateRange(first, _next_month(first), f"{first:%B} {first.year}")


def year_of(year: int) -> DateRange:
    return DateRange(date(year, 1, 1), date(year + 1, 1, 1), str(year))


def days_from(first: date, until: date) -> DateRange:
    last = until - timedelta(days=1)
    return DateRange(
        first, until, f"{first.day} {first:%B} {first.year} – {last.day} {last:%B} {last.year}"
    )


def range_before(dates: DateRange) -> DateRange:
    """What it is compared with: the month before a month, the year before a year, else as many
    days just before."""
    before = dates.first - timedelta(days=1)
    if dates == month_of(dates.first):
        return month_of(before)
    if dates == year_of(dates.first.year):
        return year_of(before.year)
    return days_from(dates.first - timedelta(days=dates.days), dates.first)


def so_far(dates: DateRange, today: date) -> DateRange:
    """As much of it as has been, today included; all of it when it is over, or to come."""
    until = min(dates.until, today + _A_DAY)
    return dates if until <= dates.first else replace(dates, until=until)


def as_much_before(dates: DateRange, seen: DateRange) -> DateRange:
    """As much of the range before as is `seen` of this one: of a year to the same day."""
    before = range_before(dates)
    if seen.until == dates.until:
        return before
    if dates == year_of(dates.first.year):
        last = seen.last if (seen.last.month, seen.last.day) != (2, 29) else seen.last - _A_DAY
        return replace(before, until=last.replace(year=before.first.year) + _A_DAY)
    return replace(before, until=min(before.until, before.first + timedelta(days=seen.days)))


def parse_time_range(start: str | None, end: str | None) -> TimeRange:
    """Both ends count: a last day with all of it, a last moment with its whole second."""
    first, starts_day = _moment("start_date", start) if start else (None, False)
    last, ends_day = _moment("end_date", end) if end else (None, False)
    times = TimeRange(first, last and _after(last, ends_day), starts_day, ends_day)
    if times.start and times.until:
        if times.until <= times.start:
            raise AppError.invalid("end_date", "is before start_date")
        if times.until.year - times.start.year > LONGEST_YEARS:
            raise AppError.invalid(
                "end_date", f"is more than {LONGEST_YEARS} years after start_date"
            )
    return times


def parse_month(text: str) -> DateRange:
    try:
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        raise AppError.invalid("month", "must be a month like 2024-01") from None
    _check_year("month", first.year)
    return month_of(first)


def parse_year(year: int) -> DateRange:
    _check_year("year", year)
    return year_of(year)


def parse_days(start: str, end: str) -> DateRange:
    """Whole days; of moments those that are written there."""
    first, last = (_day("start_date", start), _day("end_date", end))
    times = parse_time_range(first.isoformat(), last.isoformat())
    assert times.start is not None
    assert times.until is not None
    return days_from(times.start.date(), times.until.date())


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _day(field: str, text: str) -> date:
    moment, whole_day = _moment(field, text)
    return moment.date() if whole_day else datetime.fromisoformat(text).date()


def _moment(field: str, text: str) -> tuple[datetime, bool]:
    """The moment, and whether it stands for a whole day."""
    try:
        if len(text) == len("2024-01-31"):
            moment, whole_day = midnight(date.fromisoformat(text)), True
        else:
            moment, whole_day = datetime.fromisoformat(text), False
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        message = "must be a date like 2024-01-31 or 2024-01-31T23:59:59Z"
        raise AppError.invalid(field, message) from None
    _check_year(field, moment.year)
    return moment, whole_day


def _check_year(field: str, year: int) -> None:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise AppError.invalid(field, f"must be in the years {FIRST_YEAR} to {LAST_YEAR}")


def _after(moment: datetime, whole_day: bool) -> datetime:
    if whole_day:
        return moment + timedelta(days=1)
    return moment.replace(microsecond=0) + timedelta(seconds=1)
