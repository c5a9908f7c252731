import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_type_hints
from uuid import UUID

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from activelog.http.api_tokens import Scope
from activelog.http.bodies import convert, decode, path_value, read_body
from activelog.http.sessions import current_admin, current_session, current_user


class _Id(Convertor[int]):
    """A number that an id can be. (Starlette's own takes any, and Python refuses to read 5,000
    digits.)"""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("id", _Id())
_CONVERTORS: dict[Any, str] = {int: "id", UUID: "uuid"}

Handler = Callable[..., Awaitable[Response]]


def parameters_of(handler: Handler) -> dict[str, Any]:
    """The types of what it takes beside the request."""
    hints = get_type_hints(handler)
    names = list(inspect.signature(handler).parameters)
    return {name: hints[name] for name in names if name != "request"}


def typed_route(method: str, path: str, handler: Handler, parameters: Mapping[str, Any]) -> Route:
    """`/{activity_id}` takes numbers only, so that `/import` beside it is a path of its own."""
    typed = path
    for name, kind in parameters.items():
        if convertor := _CONVERTORS.get(kind):
            typed = typed.replace(f"{{{name}}}", f"{{{name}:{convertor}}}")
    route = Route(typed, handler, methods=[method])
    route.path = path  # as metrics and logs name it
    return route


@dataclass(frozen=True)
class Endpoint:
    """`answers`: the body type by status, None for one without a JSON body."""

    method: str
    path: str
    handler: Handler
    answers: Mapping[int, type | None]
    errors: tuple[int, ...] = ()
    request_type: str | None = None  # of a body that is no JSON
    answer_types: tuple[str, ...] = ()  # likewise
    idempotent: bool = False  # takes Idempotency-Key
    bearer: bool = False  # takes a token that the handler reads itself
    or_link: bool = False  # or a signature in its query
    # What an API token needs for it, by the method unless it is said; `session`: none will do.
    scope: Scope | Literal["any", "session"] | None = None

    @cached_property
    def parameters(self) -> dict[str, Any]:
        return parameters_of(self.handler)

    @property
    def needs_token(self) -> bool:
        return self.bearer or not {"user_id", "admin_id", "session"}.isdisjoint(self.parameters)

    @cached_property
    def path_names(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    def route(self) -> Route:
        return typed_route(self.method, self.path, self._respond, self.parameters)

    async def _respond(self, request: Request) -> Response:
        return await self.handler(request, **await self._arguments(request))

    async def _user(self, request: Request) -> int:
        if self.scope == "session":
            return (await current_session(request)).user_id
        by_method: Scope = "read" if self.method == "GET" else "write"
        return await current_user(request, self.scope or by_method)

    async def _arguments(self, request: Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        for name, kind in self.parameters.items():
            if name == "user_id":
                arguments[name] = await self._user(request)
            elif name == "admin_id":
                arguments[name] = await current_admin(request)
            elif name == "session":
                arguments[name] = await current_session(request)
            elif name == "body":
                arguments[name] = decode(await read_body(request), kind)
            elif name == "query":
                arguments[name] = convert(dict(request.query_params), kind)
            else:
                arguments[name] = path_value(str(request.path_params[name]), kind)
        return arguments
