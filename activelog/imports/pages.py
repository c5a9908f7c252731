"""Import a file, and read the report."""

from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from activelog import http, tickets
from activelog.base.errors import AppError
from activelog.http import pages
from activelog.http.pages import Page, Visitor
from activelog.imports import routes
from activelog.imports.model import IMPORT, Choices, ImportQuery
from activelog.services import of_request


async def import_form(request: Request, visitor: Visitor) -> Response:
    return pages.page(request, "imports/import.html")


async def import_upload(request: Request, visitor: Visitor) -> Response:
    query = http.convert(pages.known_query(request, ImportQuery), ImportQuery)
    return await pages.for_script(
        routes.import_upload(request, visitor.id, query), "/import/{job_id}"
    )


async def import_columns(request: Request, visitor: Visitor) -> Response:
    """A part of the form, which its script asks for when a file was chosen."""
    query = http.convert(pages.known_query(request, Choices), Choices)
    try:
        found = await routes.find_preview(request, visitor.id, query)
    except AppError as error:
        return http.problem(error)
    return pages.page(request, "imports/columns.html", found=found)


async def import_job(request: Request, visitor: Visitor, job_id: UUID) -> Response:
    async with of_request(request).pool.connection() as conn:
        ticket = await tickets.get(conn, job_id, visitor.id)
    if ticket is None or ticket.kind != IMPORT:
        raise AppError.not_found("import")
    return pages.page(request, "imports/import_job.html", job=ticket.body(""))


PAGES = [
    Page("GET", "/import", import_form),
    Page("POST", "/import", import_upload),
    Page("POST", "/import/columns", import_columns),
    Page("GET", "/import/{job_id}", import_job),
]
