"""The weekly mail: a person's seven days beside the seven before."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any

from activelog import mail
from activelog.mail import Claim, Content, MailKind
from activelog.services import Services
from activelog.statistics import queries
from activelog.statistics.week import Week, WeekOf, WeekRecord, make_week, tell, week_until

_RECORDS = 2  # that a mail tells
_DAYS = {
    date(2024, 1, 8 + number): minutes for number, minutes in enumerate((45, 0, 62, 30, 0, 95, 20))
}


async def _asked_for(services: Services, claim: Claim) -> Content:
    return tell(await _week(services, claim))


async def _on_sunday(services: Services, claim: Claim) -> Content:
    """After a week without activities only to those who want it then, too."""
    week = await _week(services, claim)
    if week.totals.activities or await _wants_idle_weeks(services, claim.user_id):
        return tell(week)
    return None


async def _week(services: Services, claim: Claim) -> Week:
    until = date.fromisoformat(claim.dedup_key[:10])
    wanted = WeekOf(claim.user_id, week_until(until))
    found = await services.batch(queries.weeks, wanted)
    went = any(one.kilometres for one in found if one.day >= wanted.dates.first)
    records = await services.batch(queries.week_records, wanted) if went else ()
    return make_week(wanted.dates, found, records[:_RECORDS])


async def _wants_idle_weeks(services: Services, user_id: int) -> bool:
    async with services.pool.connection() as conn:
        return (await mail.preferences(conn, user_id))["weekly_idle"]


def _fixture() -> dict[str, Any]:
    types = [
        SimpleNamespace(activity_type="running", activities=3, minutes=170, kilometres=28.4),
        SimpleNamespace(activity_type="yoga", activities=2, minutes=82, kilometres=0.0),
    ]
    totals = SimpleNamespace(activities=5, minutes=252, kilometres=28.4, calories=2110)
    dates = SimpleNamespace(
        name="8 January 2024 – 14 January 2024", first=date(2024, 1, 8), last=date(2024, 1, 14)
    )
    records = [WeekRecord("running", 14.2, date(2024, 1, 13))]
    return {
        "week": SimpleNamespace(totals=totals, dates=dates, types=types, records=records),
        "bars": [
            {
                "day": day,
                "label": f"{day:%a}",
                "minutes": minutes,
                "height": round(88 * minutes / 95),
            }
            for day, minutes in _DAYS.items()
        ],
        "changes": {
            "activities": "+25 % on last week",
            "minutes": "+12 % on last week",
            "kilometres": "−8 % on last week",
            "calories": "as last week",
        },
    }


WEEKLY = MailKind(
    "weekly_summary",
    "activelog.summaries.weekly_mail",
    "default",
    key="dedup_key",
    content=_on_sunday,
    fixture=_fixture(),
    list="weekly_summary",
    reason="because weekly summaries are switched on in your account",
)
# Who asks for it gets it, whatever their settings say of Sundays.
ASKED_FOR = replace(WEEKLY, content=_asked_for, list=None, reason="because you asked for it")

MAILS = (WEEKLY,)
