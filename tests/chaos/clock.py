"""A clock that jumps: that of all processes which are started with `environment` (libfaketime).
What waits for seconds waits for real ones."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from activelog.local.embedded import EmbeddedPostgres


def library() -> Path | None:
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def wrong_by(offset: str) -> dict[str, str] | None:
    """The environment of a process whose clock is wrong by `+90s`; None without libfaketime. (With
    a false monotonic clock waits in threads would last as much longer.)"""
    found = library()
    if found is None:
        return None
    return {"LD_PRELOAD": str(found), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@dataclass
class Clock:
    path: Path  # everybody reads it
    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def go_to(self, moment: datetime) -> None:
        self.jump(moment - self.now())

    def jump(self, span: timedelta) -> None:
        self.ahead += span
        new = self.path.with_suffix(".new")
        new.write_text(f"{self.ahead.total_seconds():+.3f}\n")
        new.chmod(0o644)
        new.rename(self.path)  # or somebody might read half of it

    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


class ClockedPostgres(EmbeddedPostgres):
    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder)
        self._clock = clock

    def _server_command(self) -> list[str]:
        named = [f"{name}={value}" for name, value in self._clock.environment().items()]
        return ["env", *named, *super()._server_command()]
