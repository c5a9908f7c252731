"""What the jobs page shows and does, for programs: `/api/v1/admin/…`, for admins alone. For others
there is nothing."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from activelog import http
from activelog.base.errors import AppError
from activelog.http import Endpoint
from activelog.operations import actions, admin
from activelog.operations.model import (
    Action,
    AuditPage,
    AuditQuery,
    Event,
    Failure,
    GroupLimit,
    Job,
    JobFilter,
    JobId,
    JobRow,
    Limit,
    Mail,
    MailFilter,
    MailId,
    Queue,
    Run,
    RunError,
    RunNow,
    Schedule,
    Suppressed,
    Switch,
    SwitchSchedule,
    Worker,
)
from activelog.services import of_request

_LIMIT = Meta(ge=1, le=200)
_AUDIT_PAGE = 100


class JobQuery(JobFilter, forbid_unknown_fields=True):
    limit: Annotated[int, _LIMIT] = 50


class JobPage(msgspec.Struct):
    """Newest first; `before` leads to the next page, null on the last one."""

    jobs: list[JobRow]
    before: int | None


class JobDetails(msgspec.Struct):
    """`events` oldest first, `errors` newest first."""

    job: Job
    events: list[Event]
    errors: list[RunError]


class Act(msgspec.Struct, forbid_unknown_fields=True):
    action: Annotated[Action, Meta(examples=["retry"])]


class Again(msgspec.Struct, forbid_unknown_fields=True):
    args: Annotated[dict[str, Any], Meta(examples=[{"user_id": 7}])]


class Queued(msgspec.Struct):
    id: JobId


class ActOnAll(JobFilter, forbid_unknown_fields=True, kw_only=True):
    """On all jobs that match; the state must be said."""

    action: Annotated[Action, Meta(examples=["retry"])]


class BulkAccepted(msgspec.Struct):
    message: Annotated[str, Meta(examples=["bulk action started"])]
    job_id: Annotated[UUID, Meta(description="of its ticket")]
    status_url: Annotated[str, Meta(examples=["/api/v1/jobs/d290f1ee-…"])]


class Count(msgspec.Struct):
    count: Annotated[int, Meta(description="up to 100,000")]


class Queues(msgspec.Struct):
    queues: list[Queue]


class Workers(msgspec.Struct):
    workers: list[Worker]


class Failures(msgspec.Struct):
    """Of the last 24 hours."""

    failures: list[Failure]


class TroubleNow(msgspec.Struct):
    kind: Annotated[str, Meta(examples=["paused"])]
    subject: Annotated[str, Meta(description="a queue, a task, or nothing")]
    count: Annotated[int, Meta(examples=[3])]
    says: Annotated[str, Meta(description="what is wrong, and what to do")]


class Troubles(msgspec.Struct):
    """The worst first; none: all is well."""

    troubles: list[TroubleNow]


class Schedules(msgspec.Struct):
    schedules: list[Schedule]
    runs: Annotated[list[Run], Meta(description="the newest")]


class MailQuery(MailFilter, forbid_unknown_fields=True):
    limit: Annotated[int, _LIMIT] = 50


class MailPage(msgspec.Struct):
    """Newest first; `before` leads to the next page, null on the last one."""

    mails: list[Mail]
    before: int | None


class GroupLimits(msgspec.Struct):
    limits: list[GroupLimit]


class SuppressedAddresses(msgspec.Struct):
    addresses: list[Suppressed]


class Address(msgspec.Struct, forbid_unknown_fields=True):
    address: Annotated[str, Meta(max_length=254, examples=["john@example.com"])]


async def jobs(request: Request, admin_id: int, query: JobQuery) -> Response:
    """Jobs by state, queue, task, words of their arguments or errors, and when they came."""
    async with actions.searching(of_request(request)) as conn:
        found = await admin.jobs(conn, query, query.limit + 1)
    return http.json(JobPage(*admin.cut(found, query.limit)))


async def count(request: Request, admin_id: int, query: JobFilter) -> Response:
    """How many jobs match; of a state, since it is for what can be done to all of them."""
    actions.check_bulk(query)
    async with actions.searching(of_request(request)) as conn:
        return http.json(Count(await admin.count_matching(conn, query)))


async def job(request: Request, admin_id: int, job_id: int) -> Response:
    """One job, with all that happened to it."""
    async with actions.reading(of_request(request)) as conn:
        found = await admin.job(conn, job_id)
        if found is None:
            raise AppError.not_found("job")
        events = await admin.events(conn, job_id)
        errors = await admin.errors(conn, job_id)
    return http.json(JobDetails(found, events, errors))


async def act(request: Request, admin_id: int, job_id: int, body: Act) -> Response:
    """Retries, starts, cancels or deletes a job."""
    await actions.act(of_request(request), admin_id, job_id, body.action)
    return Response(status_code=204)


async def run_again(request: Request, admin_id: int, job_id: int, body: Again) -> Response:
    """Queues a job like this one with other arguments: the same task, queue, priority and locks."""
    again = await actions.run_again(of_request(request), admin_id, job_id, body.args)
    return http.json(Queued(again), 201, {"Location": f"{_AT}/jobs/{again}"})


async def act_on_all(request: Request, admin_id: int, body: ActOnAll) -> Response:
    """The same to all jobs that match, in the background."""
    ticket_id = await actions.begin_bulk(of_request(request), admin_id, body.action, body)
    status_url = f"/api/v1/jobs/{ticket_id}"
    accepted = BulkAccepted("bulk action started", ticket_id, status_url)
    return http.json(accepted, 202, {"Location": status_url})


async def queues(request: Request, admin_id: int) -> Response:
    """How full the queues are, and what they did within a day."""
    async with actions.reading(of_request(request)) as conn:
        return http.json(Queues(await admin.queues(conn)))


async def switch(request: Request, admin_id: int, body: Switch) -> Response:
    """Pauses a queue: what runs ends, nothing new starts. Or resumes it."""
    await actions.switch(of_request(request), admin_id, body.queue, body.action)
    return Response(status_code=204)


async def limit(request: Request, admin_id: int, body: Limit) -> Response:
    """Sets how many jobs of a queue may run at once, in all of our workers together."""
    await actions.limit(of_request(request), admin_id, body.queue, body.running)
    return Response(status_code=204)


async def group_limits(request: Request, admin_id: int) -> Response:
    """How many exports of one person run at once."""
    async with of_request(request).pool.connection() as conn:
        found = await admin.group_limits(conn)
    return http.json(GroupLimits([GroupLimit(one.work, one.running) for one in found]))


async def limit_group(request: Request, admin_id: int, body: GroupLimit) -> Response:
    """Sets how many exports of one person run at once."""
    await actions.limit_group(of_request(request), admin_id, body.work, body.running)
    return Response(status_code=204)


async def workers(request: Request, admin_id: int) -> Response:
    """Workers that beat within the last minute, and what they run."""
    async with actions.reading(of_request(request)) as conn:
        return http.json(Workers(await admin.workers(conn)))


async def failures(request: Request, admin_id: int) -> Response:
    """What fails, by task and kind of error."""
    async with actions.reading(of_request(request)) as conn:
        return http.json(Failures(await admin.failures(conn)))


async def troubles(request: Request, admin_id: int) -> Response:
    """What is wrong now."""
    found = await actions.troubles(of_request(request))
    said = [TroubleNow(one.kind, one.subject, one.count, one.sentence()) for one in found]
    return http.json(Troubles(said))


async def schedules(request: Request, admin_id: int) -> Response:
    """The schedules, and how their runs ended."""
    async with actions.reading(of_request(request)) as conn:
        return http.json(Schedules(await admin.schedules(conn), await admin.runs(conn)))


async def run_schedule(request: Request, admin_id: int, body: RunNow) -> Response:
    """Runs a schedule now, as soon as a worker is free; as it would have run on a `day`, if you say
    one."""
    await actions.run_schedule(of_request(request), admin_id, body.task, body.day)
    return Response(status_code=204)


async def switch_schedule(request: Request, admin_id: int, body: SwitchSchedule) -> Response:
    """Pauses a schedule, so that its ticks pass, or lets it go on with its next one."""
    await actions.switch_schedule(of_request(request), admin_id, body.task, body.action)
    return Response(status_code=204)


async def audit(request: Request, admin_id: int, query: AuditQuery) -> Response:
    """What admins did, newest first; `name` is null for what came from the shell."""
    async with actions.reading(of_request(request)) as conn:
        found = await admin.audit(conn, query.before, _AUDIT_PAGE + 1)
    return http.json(AuditPage(*admin.cut(found, _AUDIT_PAGE)))


async def mails(request: Request, admin_id: int, query: MailQuery) -> Response:
    """Mails and how they ended, newest first."""
    async with actions.reading(of_request(request)) as conn:
        found = await admin.mails(conn, query, query.limit + 1)
    return http.json(MailPage(*admin.cut(found, query.limit)))


async def suppressed(request: Request, admin_id: int) -> Response:
    """Addresses that get no mails, since a relay refused them."""
    async with actions.reading(of_request(request)) as conn:
        return http.json(SuppressedAddresses(await admin.suppressed(conn)))


async def lift(request: Request, admin_id: int, body: Address) -> Response:
    """Lets an address get mails again."""
    await actions.lift(of_request(request), admin_id, body.address)
    return Response(status_code=204)


async def send_again(request: Request, admin_id: int, body: MailId) -> Response:
    """Sends a mail that has its end once more."""
    kinds = request.app.state.mails
    await actions.send_again(of_request(request), admin_id, kinds, body.id)
    return Response(status_code=202)


_AT = "/api/v1/admin"
ENDPOINTS = [
    Endpoint("GET", f"{_AT}/jobs", jobs, {200: JobPage}, errors=(422,)),
    Endpoint("GET", f"{_AT}/jobs/count", count, {200: Count}, errors=(422,)),
    Endpoint("POST", f"{_AT}/jobs/bulk", act_on_all, {202: BulkAccepted}),
    Endpoint("GET", f"{_AT}/jobs/{{job_id}}", job, {200: JobDetails}),
    Endpoint("POST", f"{_AT}/jobs/{{job_id}}", act, {204: None}, errors=(409,)),
    Endpoint("POST", f"{_AT}/jobs/{{job_id}}/again", run_again, {201: Queued}, errors=(409,)),
    Endpoint("GET", f"{_AT}/queues", queues, {200: Queues}),
    Endpoint("POST", f"{_AT}/queues", switch, {204: None}),
    Endpoint("POST", f"{_AT}/queues/limit", limit, {204: None}),
    Endpoint("GET", f"{_AT}/limits", group_limits, {200: GroupLimits}),
    Endpoint("POST", f"{_AT}/limits", limit_group, {204: None}),
    Endpoint("GET", f"{_AT}/workers", workers, {200: Workers}),
    Endpoint("GET", f"{_AT}/failures", failures, {200: Failures}),
    Endpoint("GET", f"{_AT}/troubles", troubles, {200: Troubles}),
    Endpoint("GET", f"{_AT}/schedules", schedules, {200: Schedules}),
    Endpoint("POST", f"{_AT}/schedules", run_schedule, {204: None}),
    Endpoint("POST", f"{_AT}/schedules/switch", switch_schedule, {204: None}),
    Endpoint("GET", f"{_AT}/audit", audit, {200: AuditPage}),
    Endpoint("GET", f"{_AT}/mails", mails, {200: MailPage}),
    Endpoint("POST", f"{_AT}/mails/again", send_again, {202: None}, errors=(409,)),
    Endpoint("GET", f"{_AT}/mails/suppressed", suppressed, {200: SuppressedAddresses}),
    Endpoint("POST", f"{_AT}/mails/suppressed/lift", lift, {204: None}),
]
