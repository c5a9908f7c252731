"""Digests about friends: what happens within a while is one mail. Each marks what it tells before
it is sent, so a second run tells the same."""

from types import SimpleNamespace

from activelog.friends import queries
from activelog.mail import Claim, Content, MailKind
from activelog.services import Services


async def _requests(services: Services, claim: Claim) -> Content:
    """All that came since the last such mail."""
    async with services.pool.connection() as conn:
        asking = await queries.take_requests(conn, claim.user_id, claim.id)
    return {"names": [one.name for one in asking], "total": asking[0].total} if asking else None


async def _activities(services: Services, claim: Claim) -> Content:
    """What friends did since the last such mail."""
    async with services.pool.connection() as conn:
        found = await queries.take_activities(conn, claim.user_id, claim.id)
    return {"activities": found, "total": found[0].total} if found else None


def _activity(name: str, kind: str, minutes: int, kilometres: float) -> SimpleNamespace:
    return SimpleNamespace(
        name=name, activity_type=kind, duration_minutes=minutes, distance_km=kilometres
    )


REQUEST = MailKind(
    "friend_request",
    "activelog.friends.request",
    "default",
    key="dedup_key",
    content=_requests,
    fixture={"names": ["Grace Hopper", "שרה כהן", "陈小姐"], "total": 25},
    list="friend_request",
    cap=10,
    reason="because mails about friend requests are switched on in your account",
)
ACTIVITY = MailKind(
    "friend_activity",
    "activelog.friends.activity",
    "default",
    key="dedup_key",
    content=_activities,
    fixture={
        "total": 3,
        "activities": [
            _activity("Grace Hopper", "running", 45, 7.5),
            _activity("Alan Turing", "marathon", 166, 42.195),
            _activity("陈小姐", "瑜伽", 60, 0.0),
        ],
    },
    list="friend_activity",
    cap=5,
    reason="because mails about friends are switched on in your account",
)

MAILS = (REQUEST, ACTIVITY)
