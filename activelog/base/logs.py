"""Log lines, as text or as JSON, with the ids of the request and of the job that they belong to.

A request's id goes with the jobs that it asks for (`request_id` among their arguments), so what a
mail's line says can be followed back to the HTTP call.
"""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

from activelog.base import traces

_TEXT = "%(levelname)s:%(name)s:%(message)s"
_FIELDS = ("request_id", "job_id", "task", "method", "route", "status", "milliseconds")

_request: ContextVar[str | None] = ContextVar("request", default=None)
_job: ContextVar[int | None] = ContextVar("job", default=None)


def set_up(*, as_json: bool) -> None:
    """Makes every handler that there is write this way, or one to stderr if there is none."""
    logging.basicConfig(level=logging.INFO, format=_TEXT)
    if as_json:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())


def bind(*, request_id: str | None, job_id: int | None = None) -> None:
    """For the rest of this task of the event loop."""
    _request.set(request_id)
    _job.set(job_id)


def origin() -> dict[str, str]:
    """For the arguments of a job: by which request it comes, and in which trace; empty when by
    none."""
    request_id = _request.get()
    return ({"request_id": request_id} if request_id else {}) | traces.origin()


class JsonLines(logging.Formatter):
    """One object a line: time, level, logger, message; ids where there are any; the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": _request.get(),
            "job_id": _job.get(),
        }
        line |= {name: vars(record)[name] for name in _FIELDS if name in vars(record)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in line.items() if value is not None})
