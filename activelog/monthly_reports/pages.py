from starlette.requests import Request
from starlette.responses import Response

from activelog.http import pages
from activelog.http.pages import Page, Visitor
from activelog.monthly_reports.routes import find_reports
from activelog.services import of_request


async def page(request: Request, visitor: Visitor) -> Response:
    found = await find_reports(of_request(request), visitor.id)
    return pages.page(request, "monthly_reports/reports.html", reports=found)


PAGES = [Page("GET", "/reports", page)]
