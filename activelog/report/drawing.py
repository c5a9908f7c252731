"""A report's document becomes a PDF in a process of its own, within a time limit."""

from activelog.base.errors import Permanent
from activelog.base.processes import TooCostly
from activelog.report import pdf
from activelog.report.pdf import Document
from activelog.services import Services

LONGEST = 120.0  # seconds
_TOO_COSTLY = "the report takes too long to draw; choose a shorter time, or CSV, which has no limit"


async def draw(services: Services, user_id: int, document: Document) -> bytes:
    """People take turns. Raises Permanent, before it starts if that can be known, for one that
    takes too long: another run would only repeat it."""
    if pdf.estimate(document) > LONGEST:
        raise Permanent(_TOO_COSTLY)
    try:
        return await services.offload(pdf.render, document, owner=user_id, seconds=LONGEST)
    except TooCostly:
        raise Permanent(_TOO_COSTLY) from None
