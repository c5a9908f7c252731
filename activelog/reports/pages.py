from starlette.requests import Request
from starlette.responses import Response

from activelog import site
from activelog.reports.routes import find_reports
from activelog.services import of_request
from activelog.site import Page, Visitor


async def page(request: Request, visitor: Visitor) -> Response:
    found = await find_reports(of_request(request), visitor.id)
    return site.page(request, "reports.html", reports=found)


PAGES = [Page("GET", "/reports", page)]
