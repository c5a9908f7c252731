"""A real S3 server on loopback: a Ceph monitor, an in-memory OSD and a radosgw."""

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from activelog.base.processes import die_with_parent

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph-authtool")
ACCESS, SECRET = "testkey", "testsecret123"

_CONFIGURATION = """
[global]
fsid = {fsid}
mon host = {mon}
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
run dir = {base}/run
admin socket = {base}/run/$cluster-$name.$pid.asok
log file = {base}/log/$name.log
keyring = {base}/keyring
mon data = {base}/mon
osd data = {base}/osd
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
osd memory target = 939524096
mon allow pool size one = true
mon osd min up ratio = 0
mon data avail crit = 1
mon data avail warn = 2
# With the defaults of these two the start takes 12 s.
paxos propose interval = 0.02
paxos min wait = 0.01
[client.admin]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw lc debug interval = 10
rgw enable usage log = false
rgw thread pool size = 16
"""


@dataclass(frozen=True)
class Radosgw:
    port: int
    gateway: "subprocess.Popen[bytes]"

    @property
    def storage_url(self) -> str:
        return f"s3+http://{ACCESS}:{SECRET}@127.0.0.1:{self.port}/activelog?region=default"


def is_installed() -> bool:
    return all(shutil.which(program) for program in PROGRAMS)


@contextmanager
def radosgw(base: Path, port: int) -> Iterator[Radosgw]:
    """Uses `port` and the two ports above it; its data are gone when it ends."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        _start(base, port, started)
        yield Radosgw(port, started[-1])
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def _start(base: Path, port: int, started: list[subprocess.Popen[bytes]]) -> None:
    for name in ("mon", "osd", "run", "log"):
        (base / name).mkdir(parents=True)
    fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
    mon = f"[v2:127.0.0.1:{port + 1},v1:127.0.0.1:{port + 2}]"
    configuration = base / "ceph.conf"
    configuration.write_text(_CONFIGURATION.format(fsid=fsid, mon=mon, base=base, port=port))
    conf, keyring = f"--conf={configuration}", str(base / "keyring")

    _run("ceph-authtool", "-C", keyring, "-g", "-n", "mon.", "--cap", "mon", "allow *")
    caps = [word for kind in ("mon", "osd", "mgr") for word in ("--cap", kind, "allow *")]
    _run("ceph-authtool", keyring, "-g", "-n", "client.admin", *caps)
    monmap = str(base / "monmap")
    _run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", mon, monmap)
    _run("ceph-mon", conf, "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)
    started.append(_spawn(base, "ceph-mon", conf, "-i", "a", "-f"))
    shutil.copy(keyring, base / "mon" / "keyring")

    key = _run("ceph-authtool", "--gen-print-key").strip()
    secret = f'{{"cephx_secret": "{key}"}}'
    _run("ceph", conf, "osd", "new", osd, "-i", "-", stdin=secret)
    osd_keyring = str(base / "osd" / "keyring")
    _run("ceph-authtool", "-C", osd_keyring, "--name", "osd.0", "--add-key", key)
    _run("ceph-osd", conf, "-i", "0", "--keyring", osd_keyring, "--mkfs", "--osd-uuid", osd)
    started.append(_spawn(base, "ceph-osd", conf, "-i", "0", "--keyring", osd_keyring, "-f"))
    _run("radosgw-admin", conf, "user", "create", "--uid=test", "--display-name=test",
         f"--access-key={ACCESS}", f"--secret-key={SECRET}")  # fmt: skip
    started.append(_spawn(base, "radosgw", conf, "-n", "client.admin", "-f"))
    _await(f"http://127.0.0.1:{port}/")


def _run(*command: str, stdin: str | None = None) -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def _spawn(base: Path, *command: str) -> subprocess.Popen[bytes]:
    with (base / "log" / f"{command[0]}.out").open("wb") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=_die_with_us
        )


def _die_with_us() -> None:
    die_with_parent(os.getppid(), signal.SIGKILL)


def _await(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            urlopen(url, timeout=1)
        except HTTPError:
            return
        except (URLError, OSError):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("radosgw did not answer")
