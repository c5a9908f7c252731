"""The weekly mail: a person's seven days beside the seven before."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any

from activelog import mail
from activelog.mail import Claim, Content, MailKind
from activelog.services import Services
from activelog.statistics import queries
from activelog.statistics.week import Week, WeekOf, make_week, tell, week_until

_DAYS = (("Mon", 45), ("Tue", 0), ("Wed", 62), ("Thu", 30), ("Fri", 0), ("Sat", 95), ("Sun", 20))


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
    return make_week(wanted.dates, await services.batch(queries.weeks, wanted))


async def _wants_idle_weeks(services: Services, user_id: int) -> bool:
    async with services.pool.connection() as conn:
        return (await mail.preferences(conn, user_id))["weekly_idle"]


def _fixture() -> dict[str, Any]:
    types = [
        SimpleNamespace(activity_type="running", activities=3, minutes=170, kilometres=28.4),
        SimpleNamespace(activity_type="yoga", activities=2, minutes=82, kilometres=0.0),
    ]
    totals = SimpleNamespace(activities=5, minutes=252, kilometres=28.4, calories=2110)
    dates = SimpleNamespace(name="8 January 2024 – 14 January 2024", first=date(2024, 1, 8))
    return {
        "week": SimpleNamespace(totals=totals, dates=dates, types=types),
        "bars": [
            {"label": label, "minutes": minutes, "height": round(88 * minutes / 95)}
            for label, minutes in _DAYS
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
