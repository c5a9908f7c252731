"""What each client asked for and was told, in memory and as lines of JSON."""

import json
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """`told` is what the answer said; None when no answer came, so it may be done or not."""

    at: float  # time.time() when the answer came
    by: str
    what: str
    asked: dict[str, Any]
    told: dict[str, Any] | None


@dataclass
class Ledger:
    path: Path
    entries: list[Entry] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, by: str, what: str, told: dict[str, Any] | None = None, **asked: Any) -> None:
        entry = Entry(time.time(), by, what, asked, told)
        with self._lock, self.path.open("a") as file:
            self.entries.append(entry)
            file.write(json.dumps(asdict(entry)) + "\n")

    def of(self, what: str) -> list[Entry]:
        with self._lock:
            return [entry for entry in self.entries if entry.what == what]

    def around(self, at: float, by: str = "monkey", seconds: float = 20) -> list[Entry]:
        with self._lock:
            near = [entry for entry in self.entries if abs(entry.at - at) < seconds]
        return [entry for entry in near if entry.by == by]
