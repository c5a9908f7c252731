from datetime import date, timedelta

import pytest

from activelog.base.units import Habits, distance, in_kilometres, in_units


def test_miles_come_back_to_the_metre() -> None:
    for metres in range(0, 100_000, 37):
        assert in_kilometres(in_units(metres / 1000, "mi"), "mi") == metres / 1000
    assert distance(42.195, "mi") == "26.2 mi"
    assert distance(42.195, "km", 2) == "42.20 km"


@pytest.mark.parametrize(("start", "weekday"), [("monday", 0), ("sunday", 6), ("saturday", 5)])
def test_weeks_begin_where_somebody_likes(start: str, weekday: int) -> None:
    habits = Habits(week_start=start)  # type: ignore[arg-type]
    for number in range(400):
        day = date(2024, 1, 1) + timedelta(days=number)
        first = habits.week_of(day)
        assert first.weekday() == weekday
        assert 0 <= (day - first).days < 7
