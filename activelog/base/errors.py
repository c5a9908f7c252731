"""The kinds of error that we raise on purpose; everything else is an internal error."""

from collections.abc import Mapping
from http import HTTPStatus


class AppError(Exception):
    """A request that we refuse: a short code, a sentence for people, an HTTP status.

    `details` says per field what is wrong; `retry_after` (seconds) becomes the header.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int = HTTPStatus.BAD_REQUEST,
        *,
        details: Mapping[str, str] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.details = dict(details or {})
        self.retry_after = retry_after

    @classmethod
    def not_found(cls, what: str) -> "AppError":
        """Also for what belongs to somebody else: it is as if it were not there."""
        return cls("not found", f"{what} was not found", HTTPStatus.NOT_FOUND)

    @classmethod
    def invalid(cls, field: str, message: str) -> "AppError":
        return cls("invalid request", f"{field}: {message}", details={field: message})


class CommandError(Exception):
    """Why a command of ours cannot go on, in one line that says what to do."""


class JobError(Exception):
    """A failed job whose message may be shown to the person who asked for the work."""


class Permanent(JobError):
    """A failure that another run would only repeat: the job is not retried."""


class Postponed(JobError):
    """Not a failure: the job is put back for `seconds`, and its run does not count."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds
