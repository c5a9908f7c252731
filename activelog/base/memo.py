"""Values that may be some seconds old."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

_MOST = 1000  # values; more of them are forgotten together


class Memo:
    def __init__(self) -> None:
        self._values: dict[object, tuple[float, Any]] = {}  # with the time until which it is good
        self._locks: defaultdict[object, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, key: object, seconds: float, measure: Callable[[], Awaitable[T]]) -> T:
        """What `measure` gave within the last `seconds`; of many who ask at once, one measures."""
        async with self._locks[key]:
            until, value = self._values.get(key, (0.0, None))
            if time.monotonic() > until:
                value = await measure()
                if len(self._values) >= _MOST:
                    self.clear()
                self._values[key] = (time.monotonic() + seconds, value)
            known: T = value
            return known

    def clear(self) -> None:
        self._values.clear()
        self._locks.clear()
