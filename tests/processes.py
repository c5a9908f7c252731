"""Processes of ours, as a user starts them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PYTHON = sys.executable


def run(
    *arguments: str, env: dict[str, str] | None = None, timeout: float = 120, **options: Any
) -> Any:
    """`python -m …`, to its end."""
    return subprocess.run(
        [PYTHON, "-m", *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        **options,
    )


@contextmanager
def worker(env: dict[str, str], *arguments: str, log: Path | None = None) -> Iterator[Any]:
    """A `procrastinate worker` that is killed at the end."""
    command = [PYTHON, "-m", "procrastinate", "worker", *arguments]
    with (log or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()


def until(ready: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := ready():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether something listens there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: list[int]) -> float:
    """User and system time that the processes and their finished children used so far; none
    of a process that is gone, and none where the system does not say (macOS)."""
    total = 0
    for pid in pids:
        with suppress(FileNotFoundError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(int(fields[index]) for index in (11, 12, 13, 14))
    return total / _TICKS
