"""The OpenAPI 3.1 document, from the table of endpoints and the types that parse requests."""

import inspect
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec

from activelog import __version__
from activelog.http import KEY_LENGTH, Endpoint, Problem

_REF = "#/components/schemas/{name}"
_MEDIA = "application/json"
_TEXT = {"type": "string"}
_EVENT = {
    "type": "object",
    "properties": {"id": _TEXT, "event": {"const": "status"}, "data": _TEXT},
}
_SCHEMAS: dict[str, Any] = {"text/event-stream": _EVENT}
_PATTERNS = {"month": {"pattern": r"^\d{4}-(0[1-9]|1[0-2])$", "examples": ["2024-01"]}}
_INPUTS = ("body", "query")


def document(endpoints: Iterable[Endpoint], base_url: str) -> dict[str, Any]:
    endpoints = list(endpoints)
    types = _types(endpoints)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, schema_of, components)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ActiveLog",
            "version": __version__,
            "description": "Activities, and what happens behind them: mails, imports, exports.",
        },
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _types(endpoints: list[Endpoint]) -> list[Any]:
    found: dict[Any, None] = {Problem: None}
    for endpoint in endpoints:
        for kind in (*endpoint.answers.values(), *map(endpoint.parameters.get, _INPUTS)):
            if kind is not None:
                found[kind] = None
    return list(found)


def _operation(
    endpoint: Endpoint, schema_of: dict[Any, Any], components: dict[str, Any]
) -> dict[str, Any]:
    summary, _, description = inspect.getdoc(endpoint.handler).partition(". ")  # type: ignore[union-attr]
    module = endpoint.handler.__module__.split(".")[1].replace("tickets", "jobs")
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "tags": [module],
        "summary": " ".join(summary.split()).rstrip("."),
        "responses": {
            **{
                str(status): _answer(endpoint, status, kind, schema_of)
                for status, kind in endpoint.answers.items()
            },
            **{str(status): _error(status, schema_of) for status in _errors(endpoint)},
        },
    }
    if description:
        operation["description"] = " ".join(description.split())
    if parameters := _parameters(endpoint, components):
        operation["parameters"] = parameters
    if body := _body(endpoint, schema_of):
        operation["requestBody"] = body
    if endpoint.needs_token:
        operation["security"] = [{"bearer": []}, *([{}] if endpoint.or_link else [])]
    return operation


def _operation_id(endpoint: Endpoint) -> str:
    words = endpoint.path.removeprefix("/api/v1/").replace("{", "").replace("}", "")
    return f"{endpoint.method.lower()}_{words.replace('/', '_').replace('-', '_')}"


def _errors(endpoint: Endpoint) -> list[int]:
    found = {400, 503, *endpoint.errors}
    if endpoint.needs_token:
        found |= {401, 403}  # an API token may lack the scope
    if endpoint.path_names or "admin_id" in endpoint.parameters:
        found.add(404)
    if "body" in endpoint.parameters or endpoint.request_type:
        found |= {408, 413}
    if endpoint.idempotent:
        found |= {409, 422}
    return sorted(found)


def _answer(
    endpoint: Endpoint, status: int, kind: Any, schema_of: dict[Any, Any]
) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if status == HTTPStatus.OK:
        content = {media: {"schema": _SCHEMAS.get(media, _TEXT)} for media in endpoint.answer_types}
        answer |= {"content": content} if content else {}
    if kind is not None:
        answer["content"] = {_MEDIA: {"schema": schema_of[kind]}}
    if (
        status == HTTPStatus.ACCEPTED
        and kind is not None
        and "status_url" in kind.__struct_fields__
    ):
        answer["headers"] = {
            "Location": {"schema": {"type": "string"}, "description": "status_url"}
        }
    return answer


def _error(status: int, schema_of: dict[Any, Any]) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    example = {"error": phrase.lower(), "message": "what is wrong and what to do"}
    answer: dict[str, Any] = {
        "description": phrase,
        "content": {_MEDIA: {"schema": schema_of[Problem], "example": example}},
    }
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        answer["headers"] = {
            "Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}
        }
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        answer["headers"] |= {
            "RateLimit-Policy": {"schema": _TEXT, "description": "the limits: q in w seconds"},
            "RateLimit": {"schema": _TEXT, "description": "r are left, for t seconds"},
        }
    return answer


def _parameters(endpoint: Endpoint, components: dict[str, Any]) -> list[dict[str, Any]]:
    found = [_path_parameter(name, endpoint.parameters[name]) for name in endpoint.path_names]
    query = endpoint.parameters.get("query")
    if query is not None:
        schema = components[query.__name__]
        required = schema.get("required", [])
        for name, field in schema["properties"].items():
            found.append(
                {"name": name, "in": "query", "required": name in required, "schema": field}
            )
    if endpoint.idempotent:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "the same key and request again get the first answer",
                "schema": {"type": "string", "maxLength": KEY_LENGTH},
            }
        )
    return found


def _path_parameter(name: str, kind: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer", "minimum": 0}
    if kind is UUID:
        schema = {"type": "string", "format": "uuid"}
    elif kind is str:
        schema = {"type": "string", **_PATTERNS.get(name, {})}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _body(endpoint: Endpoint, schema_of: dict[Any, Any]) -> dict[str, Any] | None:
    if endpoint.request_type:
        content: dict[str, Any] = {endpoint.request_type: {"schema": {"type": "string"}}}
        return {"required": True, "content": content}
    kind = endpoint.parameters.get("body")
    if kind is None:
        return None
    is_needed = any(field.required for field in msgspec.structs.fields(kind))
    return {"required": is_needed, "content": {_MEDIA: {"schema": schema_of[kind]}}}
