"""Ranges of dates that are not over."""

from datetime import date

import pytest

from activelog.base.date_ranges import (
    DateRange,
    as_much_before,
    days_from,
    month_of,
    so_far,
    year_of,
)


@pytest.mark.parametrize(
    ("dates", "today", "last_before"),
    [
        (year_of(2026), date(2026, 11, 28), date(2025, 11, 28)),
        (year_of(2028), date(2028, 2, 29), date(2027, 2, 28)),
        (year_of(2029), date(2029, 2, 28), date(2028, 2, 28)),
        (year_of(2026), date(2026, 12, 31), date(2025, 12, 31)),
        (year_of(2026), date(2030, 1, 1), date(2025, 12, 31)),
        (year_of(2026), date(2025, 6, 1), date(2025, 12, 31)),
        (month_of(date(2026, 3, 1)), date(2026, 3, 10), date(2026, 2, 10)),
        (month_of(date(2026, 3, 1)), date(2026, 3, 30), date(2026, 2, 28)),
        (days_from(date(2026, 3, 11), date(2026, 3, 21)), date(2026, 3, 12), date(2026, 3, 2)),
    ],
)
def test_as_much_of_the_range_before(dates: DateRange, today: date, last_before: date) -> None:
    before = as_much_before(dates, so_far(dates, today))
    assert before.last == last_before
