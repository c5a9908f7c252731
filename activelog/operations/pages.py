"""The jobs page, for admins."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from croniter import croniter
from starlette.requests import Request
from starlette.responses import Response

from activelog import http, tickets
from activelog.base.errors import AppError
from activelog.base.formatting import counted
from activelog.http import pages
from activelog.http.pages import Form, Page, Visitor
from activelog.operations import actions, admin
from activelog.operations.model import (
    STATES,
    Action,
    AuditQuery,
    GroupLimit,
    JobFilter,
    Limit,
    MailFilter,
    MailId,
    RunNow,
    Schedule,
    Slot,
    Switch,
    SwitchSchedule,
    Ticked,
    Unit,
    actions_for,
    most_within,
)
from activelog.queue.job_counters import BUCKETS
from activelog.services import of_request

_PAGE, _AUDIT_PAGE = 50, 100
_COUNTED = 10_000  # of the jobs that a bulk action is about
_SHOWN: dict[Unit, int] = {"minute": 60, "hour": 48, "day": 30}  # of the charts
_UNITS: dict[str, Unit] = {"minutes": "minute", "days": "day"}
_LABELS: dict[Unit, str] = {"minute": "{::%M}", "hour": "{:%H}h", "day": "{:%-d}"}


async def overview(request: Request, visitor: Visitor) -> Response:
    unit = _UNITS.get(request.query_params.get("charts", ""), "hour")
    services = of_request(request)
    minute = services.clock().replace(second=0, microsecond=0)
    hour = minute.replace(minute=0)
    begins: dict[Unit, datetime] = {"minute": minute, "hour": hour, "day": hour.replace(hour=0)}
    back = timedelta(**{f"{unit}s": _SHOWN[unit] - 1})
    troubles = await actions.troubles(services)
    async with actions.reading(services) as conn:
        queues = await admin.queues(conn)
        slots = await admin.slots(conn, unit, begins[unit] - back)
        hours = slots
        if unit != "hour":
            hours = await admin.slots(conn, "hour", hour - timedelta(hours=23))
        workers = await admin.workers(conn)
        past_workers = await admin.worker_history(conn)
        failures = await admin.failures(conn)
        group_limits = await admin.group_limits(conn)
    return pages.page(
        request,
        "operations/overview.html",
        queues=queues,
        workers=workers,
        past_workers=past_workers,
        failures=failures,
        troubles=troubles,
        group_limits=group_limits,
        unit=unit,
        charts=list(_charts(slots, _LABELS[unit])),
        last_day=_sums(hours[-24:]),
    )


async def jobs(request: Request, visitor: Visitor) -> Response:
    wanted = http.convert(pages.known_query(request, JobFilter), JobFilter)
    async with actions.searching(of_request(request)) as conn:
        found = await admin.jobs(conn, wanted, _PAGE + 1)
        queues, tasks = await admin.known_names(conn)
        counts = await admin.state_counts(conn)
    shown, before = admin.cut(found, _PAGE)
    fields = wanted.fields()
    return pages.page(
        request,
        "operations/jobs.html",
        jobs=shown,
        now=of_request(request).clock(),
        wanted=wanted,
        fields=fields,
        states=STATES,
        counts=counts,
        actions=wanted.actions(),
        all_actions=get_args(Action),
        query=urlencode(fields),
        queues=queues,
        tasks=tasks,
        older=urlencode(fields | {"before": before}) if before else None,
    )


async def act_on_ticked(request: Request, visitor: Visitor, form: Form) -> Response:
    """On the jobs whose boxes are ticked: `job-<id>`."""
    wanted = http.convert({"action": form.get("action", "")}, Ticked)
    ids = [int(name[4:]) for name in form if re.fullmatch(r"job-[0-9]{1,18}", name)]
    if not ids:
        raise AppError.invalid("jobs", "tick at least one")
    done = await actions.act_on_some(of_request(request), visitor.id, ids[:_PAGE], wanted.action)
    word = wanted.action.replace("_", " ")
    query = form.get("query", "")
    path = pages.local_path(f"/admin/jobs?{query}" if query else "/admin/jobs")
    return pages.back(request, path, f"{word}: {counted(done, 'jobs')} of {len(ids):,}.")


async def job(request: Request, visitor: Visitor, job_id: int) -> Response:
    async with actions.reading(of_request(request)) as conn:
        found = await admin.job(conn, job_id)
        if found is None:
            raise AppError.not_found("job")
        events, errors = await admin.events(conn, job_id), await admin.errors(conn, job_id)
        hindrances = await admin.hindrances(conn, job_id)
    is_due = found.scheduled_at is None or found.scheduled_at <= of_request(request).clock()
    return pages.page(
        request,
        "operations/job.html",
        job=found,
        events=events,
        errors=errors,
        actions=actions_for(found.status, is_due=is_due),
        hindrances=hindrances if found.status == "todo" and is_due else None,
    )


async def act(request: Request, visitor: Visitor, job_id: int, form: Form) -> Response:
    action = _action(form)
    await actions.act(of_request(request), visitor.id, job_id, action)
    path = "/admin/jobs" if action == "delete" else f"/admin/jobs/{job_id}"
    return pages.back(request, path, f"Done: {_words(action)}.")


async def run_again(request: Request, visitor: Visitor, job_id: int, form: Form) -> Response:
    """A job like this one, with other arguments."""
    args = _arguments(form.get("args", ""))
    again = await actions.run_again(of_request(request), visitor.id, job_id, args)
    return pages.back(request, f"/admin/jobs/{again}", f"Queued: it is job {again}.")


async def ask_bulk(request: Request, visitor: Visitor) -> Response:
    """How many it would be, before anything is done."""
    form = dict(request.query_params)
    action, wanted = _action(form), _bulk_filter(form)
    actions.check_bulk(wanted, action)
    async with actions.searching(of_request(request)) as conn:
        count = await admin.count_matching(conn, wanted, _COUNTED)
    return pages.page(
        request,
        "operations/bulk.html",
        action=action,
        words=_words(action),
        fields=wanted.fields(),
        count=count,
        counted_to=_COUNTED,
    )


async def start_bulk(request: Request, visitor: Visitor, form: Form) -> Response:
    action, wanted = _action(form), _bulk_filter(form)
    ticket_id = await actions.begin_bulk(of_request(request), visitor.id, action, wanted)
    return pages.back(request, f"/admin/bulk/{ticket_id}")


async def show_bulk(request: Request, visitor: Visitor, job_id: UUID) -> Response:
    async with actions.reading(of_request(request)) as conn:
        ticket = await tickets.get(conn, job_id, visitor.id)
    if ticket is None or ticket.kind != admin.BULK:
        raise AppError.not_found("bulk action")
    return pages.page(
        request,
        "operations/bulk_job.html",
        job=ticket.body(""),
        said=ticket.message,
        job_id=ticket.job_id,
    )


async def switch(request: Request, visitor: Visitor, form: Form) -> Response:
    """Pauses a queue or resumes it."""
    wanted = http.convert(form, Switch)
    await actions.switch(of_request(request), visitor.id, wanted.queue, wanted.action)
    is_paused = wanted.action == "pause"
    said = "is paused: what runs ends, nothing new starts" if is_paused else "goes on"
    return pages.back(request, "/admin", f"The queue {wanted.queue} {said}.")


async def limit(request: Request, visitor: Visitor, form: Form) -> Response:
    """How many jobs of a queue may run at once."""
    wanted = http.convert({name: value for name, value in form.items() if value}, Limit)
    await actions.limit(of_request(request), visitor.id, wanted.queue, wanted.running)
    most = "has no limit" if wanted.running is None else f"runs {wanted.running:,} at once"
    return pages.back(request, "/admin", f"The queue {wanted.queue} {most}.")


async def limit_group(request: Request, visitor: Visitor, form: Form) -> Response:
    """How many of one person run at once."""
    wanted = http.convert({name: value for name, value in form.items() if value}, GroupLimit)
    await actions.limit_group(of_request(request), visitor.id, wanted.work, wanted.running)
    most = "run as usual" if wanted.running is None else f"run {wanted.running} at once"
    return pages.back(request, "/admin", f"{wanted.work.capitalize()} of one person {most}.")


async def schedules(request: Request, visitor: Visitor) -> Response:
    services = of_request(request)
    async with actions.reading(services) as conn:
        found = await admin.schedules(conn)
        runs = await admin.runs(conn)
    rows = [(schedule, _next(schedule, services.clock())) for schedule in found]
    return pages.page(request, "operations/schedules.html", rows=rows, runs=runs)


async def run_schedule(request: Request, visitor: Visitor, form: Form) -> Response:
    wanted = http.convert({name: value for name, value in form.items() if value}, RunNow)
    await actions.run_schedule(of_request(request), visitor.id, wanted.task, wanted.day)
    return pages.back(request, "/admin/schedules", "It runs as soon as a worker is free.")


async def switch_schedule(request: Request, visitor: Visitor, form: Form) -> Response:
    wanted = http.convert(form, SwitchSchedule)
    await actions.switch_schedule(of_request(request), visitor.id, wanted.task, wanted.action)
    said = {"pause": "Paused: its ticks pass.", "resume": "It runs again, from its next tick on."}
    return pages.back(request, "/admin/schedules", said[wanted.action])


async def mails(request: Request, visitor: Visitor) -> Response:
    wanted = http.convert(pages.known_query(request, MailFilter), MailFilter)
    async with actions.reading(of_request(request)) as conn:
        found = await admin.mails(conn, wanted, _PAGE + 1)
        suppressed = await admin.suppressed(conn)
        slow = await admin.slow_domains(conn)
    shown, before = admin.cut(found, _PAGE)
    said = {name: value or "" for name, value in msgspec.structs.asdict(wanted).items()}
    older = said | {"before": before} if before else None
    return pages.page(
        request,
        "operations/mails.html",
        mails=shown,
        suppressed=suppressed,
        slow=slow,
        wanted=wanted,
        kinds=[kind.name for kind in request.app.state.mails],
        older=urlencode(older) if older else None,
    )


async def lift(request: Request, visitor: Visitor, form: Form) -> Response:
    """Lets an address get mails again."""
    await actions.lift(of_request(request), visitor.id, form.get("address", ""))
    return pages.back(request, "/admin/mails", "It gets mails again.")


async def send_again(request: Request, visitor: Visitor, form: Form) -> Response:
    """Sends a mail that has its end once more."""
    wanted = http.convert(form, MailId)
    kinds = request.app.state.mails
    await actions.send_again(of_request(request), visitor.id, kinds, wanted.id)
    return pages.back(request, "/admin/mails", "It is sent again.")


async def audit(request: Request, visitor: Visitor) -> Response:
    wanted = http.convert(pages.known_query(request, AuditQuery), AuditQuery)
    async with actions.reading(of_request(request)) as conn:
        found = await admin.audit(conn, wanted.before, _AUDIT_PAGE + 1)
    shown, before = admin.cut(found, _AUDIT_PAGE)
    return pages.page(request, "operations/audit.html", noted=shown, before=before)


def _arguments(text: str) -> dict[str, Any]:
    if not text.strip():
        raise AppError.invalid("args", "must be a JSON object, like {}")
    try:
        found: dict[str, Any] = http.decode(text.encode(), dict[str, Any])
    except AppError as error:
        raise AppError.invalid("args", f"must be a JSON object, like {{}}: {error}") from None
    return found


def _filter(fields: dict[str, str]) -> JobFilter:
    return http.convert({name: value for name, value in fields.items() if value}, JobFilter)


def _bulk_filter(form: Form) -> JobFilter:
    return _filter({name: value for name, value in form.items() if name != "action"})


def _action(form: Form) -> Action:
    for action in get_args(Action):
        if form.get("action") == action:
            found: Action = action
            return found
    raise AppError.invalid("action", "is none that we know")


def _words(action: Action) -> str:
    return action.replace("_", " ")


def _charts(slots: list[Slot], label: str) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Title, unit and bars."""

    def bar(slot: Slot, value: float, bad: int = 0) -> dict[str, Any]:
        title = f"{slot.at:%a} {slot.at.day} {slot.at:%b %H:%M}"
        return {
            "label": label.format(slot.at), "title": title, "value": value, "bad": bad,
            "came": slot.workers_came, "died": slot.workers_died,
        }  # fmt: skip

    runs = [bar(slot, slot.succeeded + slot.failed, slot.failed) for slot in slots]
    yield "Runs, failed ones in red", "runs", runs
    yield "Waiting, at most", "jobs", [bar(slot, slot.waiting) for slot in slots]
    waits = [bar(slot, round(slot.waited or 0, 3)) for slot in slots]
    yield f"Wait before a run, mean{_most(slot.waited_buckets for slot in slots)}", "s", waits
    lengths = [bar(slot, round(slot.seconds or 0, 3)) for slot in slots]
    yield f"Length of a run, mean{_most(slot.seconds_buckets for slot in slots)}", "s", lengths


def _most(buckets: Iterable[list[int]]) -> str:
    """`; 95 of 100 within 1 s`, of all runs that are shown."""
    runs = [sum(counts) for counts in zip(*(one for one in buckets if one), strict=False)]
    if not sum(runs):
        return ""
    bound = most_within(runs)
    return f"; 95 of 100 within {bound:g} s" if bound else f"; 5 of 100 over {BUCKETS[-1]:g} s"


def _sums(hours: list[Slot]) -> dict[str, int]:
    return {
        "enqueued": sum(hour.enqueued for hour in hours),
        "succeeded": sum(hour.succeeded for hour in hours),
        "failed": sum(hour.failed for hour in hours),
    }


def _next(schedule: Schedule, now: datetime) -> datetime | None:
    if schedule.cron is None:
        return None
    return datetime.fromtimestamp(croniter(schedule.cron, now).get_next(float), UTC)


PAGES = [
    Page("GET", "/admin", overview, needs="admin"),
    Page("POST", "/admin/queues", switch, needs="admin"),
    Page("POST", "/admin/queues/limit", limit, needs="admin"),
    Page("POST", "/admin/limits", limit_group, needs="admin"),
    Page("GET", "/admin/jobs", jobs, needs="admin"),
    Page("POST", "/admin/jobs", act_on_ticked, needs="admin"),
    Page("GET", "/admin/jobs/{job_id}", job, needs="admin"),
    Page("POST", "/admin/jobs/{job_id}", act, needs="admin"),
    Page("POST", "/admin/jobs/{job_id}/again", run_again, needs="admin"),
    Page("GET", "/admin/bulk/ask", ask_bulk, needs="admin"),
    Page("POST", "/admin/bulk", start_bulk, needs="admin"),
    Page("GET", "/admin/bulk/{job_id}", show_bulk, needs="admin"),
    Page("GET", "/admin/schedules", schedules, needs="admin"),
    Page("POST", "/admin/schedules", run_schedule, needs="admin"),
    Page("POST", "/admin/schedules/switch", switch_schedule, needs="admin"),
    Page("GET", "/admin/mails", mails, needs="admin"),
    Page("POST", "/admin/mails/again", send_again, needs="admin"),
    Page("POST", "/admin/mails/lift", lift, needs="admin"),
    Page("GET", "/admin/audit", audit, needs="admin"),
]
