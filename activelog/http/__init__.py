"""JSON in and out. A handler says by the names of its parameters what it needs:

- `user_id: int`: the signed-in user, or the owner of an API token with the endpoint's `scope`;
  without a valid bearer token the answer is 401;
- `admin_id: int`: likewise, of an admin; for others the answer is 404;
- `session: SessionId`: likewise, and which of the user's sessions it is;
- `body: T`: the JSON body as a msgspec type, unknown fields and wrong types refused;
- `query: T`: the query string as a msgspec type;
- a name from its path, `{export_id}`: converted by its annotation; what does not fit is a 404.

`Endpoint` ties it to a method and a path and names its answers, for the router and for the
OpenAPI document alike.
"""

from activelog.base.endings import SessionId
from activelog.http.answers import Problem, json, problem, with_etag
from activelog.http.api_tokens import (
    ApiToken,
    Scope,
    add_api_token,
    api_tokens,
    remove_api_token,
)
from activelog.http.bodies import (
    convert,
    decode,
    explain,
    form,
    path_value,
    read_body,
    save_body,
    while_connected,
)
from activelog.http.clients import client_host, client_network
from activelog.http.cursors import cut, decode_cursor, encode_cursor
from activelog.http.endpoint import Endpoint, parameters_of, typed_route
from activelog.http.idempotency import KEY_LENGTH, is_replay, once
from activelog.http.sessions import (
    DEVICE_COOKIE,
    SESSION_COOKIE,
    Open,
    ask_for_endings,
    bearer,
    begin_session,
    cookie_session,
    current_session,
    current_user,
    end_session,
    may,
    open_sessions,
)

__all__ = [
    "DEVICE_COOKIE",
    "KEY_LENGTH",
    "SESSION_COOKIE",
    "ApiToken",
    "Endpoint",
    "Open",
    "Problem",
    "Scope",
    "SessionId",
    "add_api_token",
    "api_tokens",
    "ask_for_endings",
    "bearer",
    "begin_session",
    "client_host",
    "client_network",
    "convert",
    "cookie_session",
    "current_session",
    "current_user",
    "cut",
    "decode",
    "decode_cursor",
    "encode_cursor",
    "end_session",
    "explain",
    "form",
    "is_replay",
    "json",
    "may",
    "once",
    "open_sessions",
    "parameters_of",
    "path_value",
    "problem",
    "read_body",
    "remove_api_token",
    "save_body",
    "typed_route",
    "while_connected",
    "with_etag",
]
