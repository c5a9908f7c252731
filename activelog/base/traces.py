"""Traces by OpenTelemetry: a request, its statements, the jobs that it asks for and what those do
are one trace. They are off, and cost nothing, unless OTEL_EXPORTER_OTLP_ENDPOINT says where they
go; the packages of the extra `traces` read their other variables themselves.

A span holds no value that a person gave, and of an error its type only.
"""

import importlib
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from activelog.base.errors import CommandError

Kind = Literal["SERVER", "CONSUMER", "CLIENT"]
Attributes = Mapping[str, str | int]  # in OpenTelemetry's words

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_FLUSH = 3.0  # seconds that a collector may take when a process ends


class _Tracing:
    """What `start` found; None while traces are off."""

    api: Any = None
    provider: Any = None
    tracer: Any = None
    context: Any = None  # as W3C's header `traceparent` carries it


_tracing = _Tracing()


def start(service: str) -> None:
    """Raises CommandError when they are asked for and their packages are missing."""
    if _tracing.tracer is not None or not any(map(os.environ.get, _ENDPOINTS)):
        return
    try:
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        resources = importlib.import_module("opentelemetry.sdk.resources")
        otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        propagation = importlib.import_module("opentelemetry.trace.propagation.tracecontext")
    except ModuleNotFoundError as error:
        raise CommandError(
            f"traces need {error.name}: pip install 'activelog[traces]', or unset {_ENDPOINTS[0]}"
        ) from None
    name = os.environ.get("OTEL_SERVICE_NAME", service)
    provider = sdk.TracerProvider(resource=resources.Resource.create({"service.name": name}))
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    _tracing.api = importlib.import_module("opentelemetry.trace")
    _tracing.provider = provider
    _tracing.context = propagation.TraceContextTextMapPropagator()
    _tracing.tracer = provider.get_tracer("activelog")


def flush() -> None:
    """Sends what is left, before a process ends. (The SDK waits longer than it is told.)"""
    if _tracing.provider is not None:
        sending = threading.Thread(target=_tracing.provider.force_flush, daemon=True)
        sending.start()
        sending.join(_FLUSH)


def is_within() -> bool:
    """Whether a span is open here: what nobody asked for has no trace."""
    return _tracing.api is not None and _tracing.api.get_current_span().is_recording()


@contextmanager
def span(
    name: str, kind: Kind, parent: str | None = None, attributes: Attributes | None = None
) -> Iterator[None]:
    """`parent` is a `traceparent`; without one the span that is open here is."""
    if _tracing.tracer is None:
        yield
        return
    context = _tracing.context.extract({"traceparent": parent}) if parent else None
    with _tracing.tracer.start_as_current_span(
        name,
        context,
        _tracing.api.SpanKind[kind],
        record_exception=False,
        set_status_on_exception=False,
    ):
        describe(attributes or {})
        try:
            yield
        except BaseException as error:
            fail(type(error).__name__)
            raise


def describe(attributes: Attributes, *, name: str | None = None) -> None:
    """The span that is open here."""
    if not is_within():
        return
    current = _tracing.api.get_current_span()
    if name is not None:
        current.update_name(name)
    current.set_attributes(attributes)


def fail(reason: str) -> None:
    """Marks the span that is open here as one that went wrong."""
    if is_within():
        codes = _tracing.api.StatusCode
        _tracing.api.get_current_span().set_status(codes.ERROR, reason)


def origin() -> dict[str, str]:
    """For the arguments of a job: the span that asks for it; empty where none is open."""
    carrier: dict[str, str] = {}
    if _tracing.context is not None:
        _tracing.context.inject(carrier)
    return {name: value for name, value in carrier.items() if name == "traceparent"}
