"""Made-up requests and answers for the page of the API, from the OpenAPI document."""

import json
from typing import Any

_BY_FORMAT = {
    "uuid": "d290f1ee-6c54-4b01-90e6-d701748f0851",
    "date-time": "2024-01-15T14:30:00Z",
    "date": "2024-01-15",
}
_BY_TYPE: dict[str, Any] = {
    "integer": 1,
    "number": 7.5,
    "boolean": True,
    "string": "…",
    "null": None,
}
_FILES = {"text/csv": "activities.csv", "image/jpeg": "photo.jpg"}


def curl(document: dict[str, Any], path: str, method: str) -> str:
    """A line for the shell; `$TOKEN` holds a bearer token."""
    operation = document["paths"][path][method]
    url = document["servers"][0]["url"] + path + _query(document, operation)
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            value = str(sample(document, parameter["schema"]))
            url = url.replace(f"{{{parameter['name']}}}", value)
    parts = [f"curl {'' if method == 'get' else f'-X {method.upper()} '}'{url}'"]
    if "security" in operation:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"-H 'Content-Type: {media}'")
        if media == "application/json":
            body = json.dumps(_body(document, content["schema"]), ensure_ascii=False)
            parts.append(f"-d '{body}'")
        else:
            parts.append(f"--data-binary @{_FILES.get(media, 'file')}")
    return " \\\n  ".join(parts)


def answer(document: dict[str, Any], content: dict[str, Any]) -> str:
    """Of a media type's entry in the document."""
    return json.dumps(sample(document, content["schema"]), indent=2, ensure_ascii=False)


def sample(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        fields = _resolved(document, schema).get("properties", {})
        return {name: sample(document, field) for name, field in fields.items()}
    if "examples" in schema:
        return schema["examples"][0]
    if "anyOf" in schema:
        return sample(document, schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [sample(document, schema["items"])]
    if schema.get("type") == "object":
        return {}
    if "default" in schema:
        return schema["default"]
    return _BY_FORMAT.get(schema.get("format", ""), _BY_TYPE.get(schema.get("type", ""), "…"))


def _body(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """What has to be there; where nothing has, the first field."""
    found = _resolved(document, schema)
    names = found.get("required") or list(found.get("properties", {}))[:1]
    return {name: sample(document, found["properties"][name]) for name in names}


def _query(document: dict[str, Any], operation: dict[str, Any]) -> str:
    needed = [
        f"{parameter['name']}={sample(document, parameter['schema'])}"
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query" and parameter.get("required")
    ]
    return f"?{'&'.join(needed)}" if needed else ""


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found
