from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

Status = Literal["pending", "processing", "completed", "failed", "cancelled", "expired"]

_ID = "a1b2c3d4-5e6f-4708-9a0b-c1d2e3f4a5b6"
_TIME = "2024-01-15T14:30:00Z"


class Result(msgspec.Struct, omit_defaults=True):
    """What a finished job left: a file to download, or the report of an import."""

    download_url: Annotated[str, Meta(description="works until expires_at, without a token")] = ""
    expires_at: Annotated[datetime | None, Meta(examples=["2024-01-22T14:30:00Z"])] = None
    file_size: Annotated[int | None, Meta(description="bytes", examples=[245760])] = None
    record_count: Annotated[int | None, Meta(examples=[150])] = None
    sha256: Annotated[str, Meta(description="of the file, in hexadecimal")] = ""
    format: Annotated[str, Meta(description="whose file was imported", examples=["strava"])] = ""
    dry_run: Annotated[bool, Meta(description="nothing was imported, only tried")] = False
    duplicates: Annotated[int | None, Meta(description="rows that were there already")] = None
    imported: Annotated[int | None, Meta(description="rows of an import")] = None
    rejected: Annotated[int | None, Meta(description="rows that an import refused")] = None
    doubtful: Annotated[int | None, Meta(description="imported rows that are odd")] = None
    skipped: Annotated[int | None, Meta(description="rows left out for being similar")] = None
    corrected: Annotated[
        int | None, Meta(description="activities of the file before whose unit or type was mended")
    ] = None
    photos: Annotated[int | None, Meta(description="that came with an archive")] = None
    errors: Annotated[
        list["RowReport"], Meta(description="why, for the first 1,000 refused rows")
    ] = []
    doubts: Annotated[
        list["RowReport"], Meta(description="why, for the first 1,000 doubtful rows")
    ] = []
    similar: Annotated[
        list["SimilarRow"], Meta(description="rows that may be activities you have")
    ] = []
    units: Annotated[
        dict[str, str], Meta(description="which unit distances were taken for, and why")
    ] = {}
    remarks: Annotated[list[str], Meta(description="what the file did not say")] = []


class RowReport(msgspec.Struct):
    line: Annotated[int, Meta(description="in the file, the header being 1", examples=[7])]
    reason: Annotated[str, Meta(examples=["duration_minutes: must be 0 to 100000"])]
    says: Annotated[str, Meta(description="the row, cut", examples=["1,running,-5"])] = ""
    advice: Annotated[str, Meta(description="what to do about it")] = ""


class SimilarRow(msgspec.Struct):
    line: Annotated[int, Meta(examples=[7])]
    activity_id: Annotated[int, Meta(description="of the activity that you have", examples=[123])]
    activity_date: Annotated[datetime, Meta(examples=[_TIME])]


class JobStatus(msgspec.Struct, omit_defaults=True):
    job_id: Annotated[UUID, Meta(examples=[_ID])]
    status: Annotated[Status, Meta(examples=["processing"])]
    progress: Annotated[int, Meta(ge=0, le=100, examples=[45])]
    created_at: Annotated[datetime, Meta(examples=[_TIME])]
    message: Annotated[str, Meta(examples=["Processing activities..."])] = ""
    result: Result | None = None
    error: Annotated[
        str, Meta(examples=["failed to generate export: database connection lost"])
    ] = ""
    retry_count: Annotated[int | None, Meta(description="runs after the first one")] = None
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    cancelled_at: datetime | None = None


class JobAccepted(msgspec.Struct):
    """The answer to everything that starts a job; `Location` repeats status_url."""

    message: Annotated[str, Meta(examples=["export job started"])]
    job_id: Annotated[UUID, Meta(examples=[_ID])]
    status_url: Annotated[str, Meta(examples=[f"/api/v1/jobs/{_ID}"])]
    estimated_completion: Annotated[datetime, Meta(examples=["2024-01-15T14:32:00Z"])]


@dataclass(frozen=True)
class Ticket:
    id: UUID
    user_id: int
    kind: str
    job_id: int | None
    progress: int
    message: str
    result: dict[str, Any] | None
    created_at: datetime
    completed_at: datetime | None
    cancelled_at: datetime | None
    expires_at: datetime | None
    job_status: str | None
    attempts: int
    failed_at: datetime | None
    error: str | None

    @property
    def status(self) -> Status:
        if self.completed_at is not None:
            gone = self.expires_at is not None and self.expires_at <= datetime.now(UTC)
            return "expired" if gone else "completed"
        if self.cancelled_at is not None or self.job_status in ("cancelled", "aborted"):
            return "cancelled"
        if self.job_status == "todo" or self.job_id is None:
            return "pending"
        return "processing" if self.job_status == "doing" else "failed"

    @property
    def retry_count(self) -> int | None:
        """Runs after the first one; None while there was none and nothing failed."""
        if self.status == "failed":
            return max(0, self.attempts - 1)
        return self.attempts or None if self.status in ("pending", "processing") else None

    def body(self, download_url: str) -> JobStatus:
        status = self.status
        return JobStatus(
            job_id=self.id,
            status=status,
            progress=self.progress,
            created_at=self.created_at,
            message=self.message if self._message_tells() else "",
            result=self._result(download_url) if status == "completed" and self.result else None,
            error=self.error or "internal error" if status == "failed" else "",
            retry_count=self.retry_count,
            completed_at=self.completed_at,
            failed_at=(self.failed_at or self.created_at) if status == "failed" else None,
            cancelled_at=self.cancelled_at,
        )

    def _message_tells(self) -> bool:
        """What goes on, or how it ended where there is no result to say so."""
        if self.status == "completed":
            return not self.result
        return self.status in ("pending", "processing")

    def _result(self, download_url: str) -> Result:
        result = msgspec.convert(self.result or {}, Result)
        if result.file_size is not None:
            result.download_url = download_url
            result.expires_at = self.expires_at
        return result
