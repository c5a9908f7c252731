"""The mail that announces a monthly report."""

from datetime import date

from activelog.base.date_ranges import parse_month
from activelog.mail import Claim, Content, MailKind
from activelog.monthly_reports import queries
from activelog.monthly_reports.links import download_url
from activelog.services import Services


async def _ready(services: Services, claim: Claim) -> Content:
    first = parse_month(claim.dedup_key).first
    async with services.pool.connection() as conn:
        found = await queries.get(conn, claim.user_id, first)
    if found is None:
        return None
    url = download_url(services, claim.user_id, first)
    return {"month": f"{first:%B} {first.year}", "first": first, "size": found.size, "url": url}


READY = MailKind(
    "monthly_report",
    "activelog.reports.announce",
    "default",
    key="month",
    content=_ready,
    fixture={
        "month": "January 2024",
        "first": date(2024, 1, 1),
        "size": 48_213,
        "url": "https://activelog.example/link?token=" + "x" * 43,
    },
    list="monthly_report",
    reason="because monthly reports are switched on in your account",
)

MAILS = (READY,)
