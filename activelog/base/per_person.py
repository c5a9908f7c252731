"""How much of something one person may have at a time."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from activelog.base.errors import AppError


class PerPerson:
    """`with limit(user_id)`: `most` of `things` at a time, in this process; 429 for one more."""

    def __init__(self, things: str, most: int) -> None:
        self._things, self._most = things, most
        self._counts: Counter[int] = Counter()

    @contextmanager
    def __call__(self, user_id: int) -> Iterator[None]:
        self.check(user_id)
        self._counts[user_id] += 1
        try:
            yield
        finally:
            self._counts[user_id] -= 1
            self._counts += Counter()  # without zeros

    def check(self, user_id: int) -> None:
        """Whether there is room for one more."""
        if self._counts[user_id] >= self._most:
            message = (
                f"you have {self._most} {self._things} under way; try again when one has ended"
            )
            raise AppError("too many requests", message, 429, retry_after=5)
