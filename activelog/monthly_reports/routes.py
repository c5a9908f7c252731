from starlette.requests import Request
from starlette.responses import Response

from activelog import http
from activelog.base import auth
from activelog.base.date_ranges import parse_month
from activelog.base.errors import AppError
from activelog.http import Endpoint, files
from activelog.monthly_reports import queries
from activelog.monthly_reports.links import download_url, is_genuine
from activelog.monthly_reports.model import Report, ReportLink, Reports, object_key
from activelog.services import Services, of_request


async def page(request: Request, user_id: int) -> Response:
    """One's monthly reports."""
    return http.json(Reports(await find_reports(of_request(request), user_id)))


async def find_reports(services: Services, user_id: int) -> list[Report]:
    async with services.pool.connection() as conn:
        found = await queries.page(conn, user_id)
    return [
        Report(
            f"{report.month:%Y-%m}",
            report.size,
            report.created_at,
            download_url(services, user_id, report.month),
        )
        for report in found
    ]


async def download(request: Request, month: str, query: ReportLink) -> Response:
    """Leads to the file for ten minutes. Needs the link of the list or of the mail, or a bearer
    token."""
    services = of_request(request)
    user_id = _linked_user(services, month, query) or await http.current_user(request, "export")
    first = parse_month(month).first
    async with services.pool.connection() as conn:
        if await queries.get(conn, user_id, first) is None:
            raise AppError.not_found("report")
    key, name = object_key(user_id, first), f"activelog-{first:%Y-%m}.pdf"
    return await files.lead_to(services, key, name)


def _linked_user(services: Services, month: str, query: ReportLink) -> int | None:
    """Whose link it is; None without one."""
    if not query.signature:
        return None
    first = parse_month(month).first
    if not is_genuine(services, query.user, first, query.expires, query.signature):
        raise AppError("forbidden", "the link is not one of ours", 403)
    if auth.is_past(query.expires):
        raise AppError("gone", "the link has expired", 410)
    return query.user


ENDPOINTS = [
    Endpoint("GET", "/api/v1/reports", page, {200: Reports}, scope="export"),
    Endpoint("GET", "/api/v1/reports/{month}/download", download, {302: None},
             errors=(403, 410), bearer=True, or_link=True),
]  # fmt: skip
