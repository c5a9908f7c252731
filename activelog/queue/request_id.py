"""Jobs say by whose request they came, and tasks need not know of it."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

_PARAMETER = inspect.Parameter("request_id", inspect.Parameter.KEYWORD_ONLY, default=None)


def taking_request_id(function: Callable[P, R]) -> Callable[P, R]:
    """The same with a `request_id` that it does not see: any worker can run such a job."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call(*args: Any, request_id: str | None = None, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)
    else:

        @functools.wraps(function)
        def call(*args: Any, request_id: str | None = None, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

    signature = inspect.signature(function)
    parameters = [*signature.parameters.values(), _PARAMETER]
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return cast(Callable[P, R], call)
