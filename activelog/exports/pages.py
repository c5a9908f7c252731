"""Exports as a person asks for, follows, downloads and deletes them."""

from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from activelog import http
from activelog.activities import queries as activities
from activelog.exports import routes
from activelog.exports.model import MORE_COLUMNS, CsvRequest, HistoryQuery, PdfRequest
from activelog.http import pages
from activelog.http.pages import Form, Page, Visitor
from activelog.services import of_request

_STARTED = "Started. A mail tells you when it is ready; you can also wait here."


async def page(request: Request, visitor: Visitor) -> Response:
    services = of_request(request)
    query = http.convert(pages.known_query(request, HistoryQuery), HistoryQuery)
    found = await routes.find_history(services, visitor.id, query)
    async with services.pool.connection() as conn:
        types = await activities.recent_types(conn, visitor.id)
    today = visitor.clock(services.clock()).date()
    return pages.page(
        request,
        "exports/exports.html",
        found=found,
        types=types,
        today=today,
        more_columns=MORE_COLUMNS,
    )


async def request_csv(request: Request, visitor: Visitor, form: Form) -> Response:
    fields = _fields(form, {"include_tags", "bom", "gzip"})
    await routes.request_csv(request, visitor.id, http.convert(fields, CsvRequest))
    return pages.back(request, "/exports", _STARTED)


async def request_pdf(request: Request, visitor: Visitor, form: Form) -> Response:
    fields = _fields(form, {"include_charts", "include_photos"})
    await routes.request_pdf(request, visitor.id, http.convert(_one_span(fields), PdfRequest))
    return pages.back(request, "/exports", _STARTED)


async def request_everything(request: Request, visitor: Visitor, form: Form) -> Response:
    await routes.request_everything(request, visitor.id)
    return pages.back(request, "/exports", _STARTED)


async def delete(request: Request, visitor: Visitor, export_id: UUID) -> Response:
    await routes.delete(request, visitor.id, export_id)
    return pages.back(request, "/exports", "Deleted, with its file.")


def _fields(form: Form, boxes: set[str]) -> dict[str, Any]:
    """Empty fields left out; a box that is not in the form is not ticked."""
    fields = {name: value for name, value in form.items() if value and name not in boxes}
    return fields | {box: box in form for box in boxes}


def _one_span(fields: dict[str, Any]) -> dict[str, Any]:
    """The form shows month, year and days; only those of the chosen report count."""
    kept = {"monthly": {"month"}, "yearly": {"year"}, "range": {"start_date", "end_date"}}
    mine = kept.get(str(fields.get("report_type")), set())
    others = set().union(*kept.values()) - mine
    return {name: value for name, value in fields.items() if name not in others}


PAGES = [
    Page("GET", "/exports", page),
    Page("POST", "/exports/csv", request_csv),
    Page("POST", "/exports/pdf", request_pdf),
    Page("POST", "/exports/everything", request_everything),
    Page("POST", "/exports/{export_id}/delete", delete),
]
