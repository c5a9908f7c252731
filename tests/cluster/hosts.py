"""Three hosts on this machine: network namespaces on a bridge, whose cables can be pulled."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from activelog.base.processes import die_with_parent

NET = "10.213.77"
_BRIDGE = "al-bridge"


@dataclass
class Host:
    name: str
    address: str
    processes: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str], log: Path) -> None:
        """A daemon of that host; as nobody, since Postgres refuses root."""
        nobody, parent = pwd.getpwnam("nobody"), os.getpid()
        # `ip netns exec` has a new process, and what is killed is to be the daemon.
        inside = ["nsenter", f"--net=/run/netns/{_space(self.name)}", "setpriv",
                  f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
                  *command]  # fmt: skip
        with log.open("ab") as output:
            self.processes[name] = subprocess.Popen(
                inside, stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd="/",
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
                preexec_fn=lambda: die_with_parent(parent, signal.SIGKILL),
            )  # fmt: skip

    def crash(self) -> None:
        """All that runs there, without a word."""
        for pid in _ip("netns", "pids", _space(self.name)).split():
            with suppress(ProcessLookupError):  # it went with its parent
                os.kill(int(pid), signal.SIGKILL)
        for process in self.processes.values():
            process.wait()

    def cut(self) -> None:
        _ip("link", "set", f"al-{self.name}", "down")

    def mend(self) -> None:
        _ip("link", "set", f"al-{self.name}", "up")


def missing() -> str | None:
    """Why this machine cannot have hosts."""
    if os.geteuid() != 0:
        return "network namespaces are root's"
    lacking = [name for name in ("ip", "nsenter", "setpriv") if shutil.which(name) is None]
    if lacking:
        return f"{', '.join(lacking)} not installed"
    with_one = subprocess.run(["unshare", "--net", "true"], capture_output=True)
    return "this machine allows no network namespaces" if with_one.returncode else None


@contextmanager
def running(names: Sequence[str]) -> Iterator[list[Host]]:
    """They see each other and this machine, which is the last address of their network."""
    hosts = [Host(name, f"{NET}.{number}") for number, name in enumerate(names, 1)]
    _remove(hosts)  # what a killed run has left
    try:
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("address", "add", f"{NET}.254/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        for host in hosts:
            _connect(host)
        yield hosts
    finally:
        for host in hosts:
            host.crash()
        _remove(hosts)


def _connect(host: Host) -> None:
    space, cable = _space(host.name), f"al-{host.name}"
    _ip("netns", "add", space)
    _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
    _ip("link", "set", cable, "master", _BRIDGE, "up")
    _ip("-n", space, "address", "add", f"{host.address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        _ip("-n", space, "link", "set", device, "up")


def _remove(hosts: Sequence[Host]) -> None:
    for host in hosts:
        subprocess.run(["ip", "netns", "del", _space(host.name)], capture_output=True)
        subprocess.run(["ip", "link", "del", f"al-{host.name}"], capture_output=True)
    subprocess.run(["ip", "link", "del", _BRIDGE], capture_output=True)


def _space(name: str) -> str:
    return f"activelog-{name}"


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    return done.stdout
