"""Dates as clients write them: a day (`2024-01-31`) or a moment (`2024-01-31T23:59:59Z`)."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from activelog.errors import AppError

FIRST_YEAR, LAST_YEAR = 1900, 2199


@dataclass(frozen=True)
class Period:
    """From `start` on and before `until`; None is open."""

    start: datetime | None
    until: datetime | None

    def params(self) -> dict[str, datetime | None]:
        return {"start": self.start, "until": self.until}


def parse_period(start: str | None, end: str | None) -> Period:
    """Both ends count: a last day with all of it, a last moment with its whole second."""
    period = Period(
        start=_moment("start_date", start)[0] if start else None,
        until=_after(*_moment("end_date", end)) if end else None,
    )
    if period.start and period.until and period.until <= period.start:
        raise AppError.invalid("end_date", "is before start_date")
    return period


def _moment(field: str, text: str) -> tuple[datetime, bool]:
    """The moment, and whether it stands for a whole day."""
    try:
        if len(text) == len("2024-01-31"):
            day = date.fromisoformat(text)
            moment, whole_day = datetime(day.year, day.month, day.day, tzinfo=UTC), True
        else:
            moment, whole_day = datetime.fromisoformat(text), False
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        message = "must be a date like 2024-01-31 or 2024-01-31T23:59:59Z"
        raise AppError.invalid(field, message) from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise AppError.invalid(field, f"must be in the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment, whole_day


def _after(moment: datetime, whole_day: bool) -> datetime:
    if whole_day:
        return moment + timedelta(days=1)
    return moment.replace(microsecond=0) + timedelta(seconds=1)
