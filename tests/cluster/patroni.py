"""Postgres as a cluster, from Debian's packages: etcd on three hosts, Patroni on two of them, and
HAProxy on this machine, which leads to whichever is the primary."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from activelog.base.processes import die_with_parent
from tests.cluster import hosts
from tests.cluster.hosts import Host
from tests.processes import free_port, until

PACKAGES = "patroni etcd-server haproxy pgbouncer postgresql"
TTL = 30  # seconds, Patroni's own: for so long a leader that is silent is one
_PROXY = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    timeout check 1s
listen primary
    bind 127.0.0.1:{port}
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


@dataclass
class Cluster:
    """`url` leads to the primary."""

    folder: Path
    members: list[Host]  # with Postgres
    witness: Host  # with etcd alone
    url: str

    @property
    def hosts(self) -> list[Host]:
        return [*self.members, self.witness]

    def primary(self) -> Host | None:
        """The one that says so; a new one does when it takes writes."""
        return next((one for one in self.members if _status(one, "primary") == 200), None)

    def is_whole(self) -> bool:
        """A primary, and a standby that has all that it says."""
        roles = [_status(one, role) for one in self.members for role in ("primary", "sync")]
        return sorted(roles).count(200) == 2 and self.primary() is not None

    def other(self, host: Host) -> Host:
        return next(one for one in self.members if one is not host)

    def switch_over(self, leader: Host) -> None:
        body = {"leader": leader.name, "candidate": self.other(leader).name}
        request = urllib.request.Request(
            f"http://{leader.address}:8008/switchover", json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()

    def start(self, host: Host) -> None:
        place = self.folder / host.name
        members = ",".join(f"{one.name}=http://{one.address}:2380" for one in self.hosts)
        at = f"http://{host.address}"
        host.start("etcd", [
            "etcd", "--name", host.name, "--data-dir", str(place / "etcd"),
            "--listen-client-urls", f"{at}:2379", "--advertise-client-urls", f"{at}:2379",
            "--listen-peer-urls", f"{at}:2380", "--initial-advertise-peer-urls", f"{at}:2380",
            "--initial-cluster", members, "--log-level", "error",
            # Without it a member that comes back makes the others vote; Patroni 3.0 then gave the
            # lock to the old primary, and what had been committed since was lost.
            "--pre-vote",
        ], place / "etcd.log")  # fmt: skip
        if host in self.members:
            config = place / "patroni.yml"  # JSON is YAML
            config.write_text(json.dumps(_settings(self, host, place)))
            host.start("patroni", ["patroni", str(config)], place / "patroni.log")


def missing() -> str | None:
    """Why this machine cannot have one."""
    lacking = [name for name in ("patroni", "etcd", "haproxy", "pgbouncer")
               if shutil.which(name) is None]  # fmt: skip
    if lacking or _binaries() is None:
        return f"{', '.join(lacking) or 'Postgres'} not installed: apt-get install {PACKAGES}"
    return hosts.missing()


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """With a database `activelog`, which is empty."""
    port = free_port()
    with hosts.running(["a", "b", "c"]) as (*members, witness):
        url = f"postgresql://activelog@127.0.0.1:{port}"
        cluster = Cluster(folder, members, witness, f"{url}/activelog")
        for host in cluster.hosts:
            (folder / host.name).mkdir()
            shutil.chown(folder / host.name, "nobody", "nogroup")
            cluster.start(host)
        with _proxy(folder, port, members):
            until(cluster.is_whole, "a cluster with a standby", 120)
            until(lambda: _answers(f"{url}/postgres"), "the way to it")
            with psycopg.connect(f"{url}/postgres", autocommit=True) as conn:
                conn.execute("CREATE DATABASE activelog")
            yield cluster


def _settings(cluster: Cluster, host: Host, place: Path) -> dict[str, Any]:
    """Synchronous: what the primary has said is not lost with it."""
    allowed = ["local all all trust", f"host all all {hosts.NET}.0/24 trust",
               f"host replication all {hosts.NET}.0/24 trust"]  # fmt: skip
    return {
        "scope": "activelog",
        "name": host.name,
        "restapi": {"listen": f"{host.address}:8008", "connect_address": f"{host.address}:8008"},
        "etcd3": {"hosts": [f"{one.address}:2379" for one in cluster.hosts]},
        "bootstrap": {
            "dcs": {
                "ttl": TTL,
                "loop_wait": 5,
                "retry_timeout": 10,
                "synchronous_mode": True,
                "postgresql": {"use_pg_rewind": True, "parameters": {"max_connections": 300}},
            },
            "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
        },
        "postgresql": {
            "listen": f"{host.address}:5432",
            "connect_address": f"{host.address}:5432",
            "data_dir": str(place / "data"),
            "bin_dir": _binaries(),
            "pgpass": str(place / "pgpass"),
            "authentication": {
                "superuser": {"username": "activelog", "password": "none"},
                "replication": {"username": "replicator", "password": "none"},
            },
            "pg_hba": allowed,
            "parameters": {"unix_socket_directories": str(place)},
        },
    }


@contextmanager
def _proxy(folder: Path, port: int, members: Sequence[Host]) -> Iterator[None]:
    servers = "\n".join(f"    server {one.name} {one.address}:5432 check port 8008"
                        for one in members)  # fmt: skip
    config = folder / "haproxy.cfg"
    config.write_text(_PROXY.format(port=port, servers=servers))
    parent = os.getpid()
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(
            ["haproxy", "-db", "-f", str(config)], stdout=log, stderr=log,
            preexec_fn=lambda: die_with_parent(parent, signal.SIGKILL),
        )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _binaries() -> str | None:
    """The newest of Debian's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_rewind"))
    return str(found[-1].parent) if found else None


def _status(host: Host, role: str) -> int:
    """What Patroni's health check answers; 0 for silence."""
    try:
        with urllib.request.urlopen(f"http://{host.address}:8008/{role}", timeout=1) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        time.sleep(0.2)
        return False
    return True
