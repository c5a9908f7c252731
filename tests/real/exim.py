"""A real Exim on loopback, which says what Exims say: mails to x.test end in one maildir, those to
late.test are taken and come back, it relays for nobody, and it verifies senders."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import answers, until

_CONFIG = """
primary_hostname = lab.test
spool_directory = {base}/spool
log_file_path = {base}/log/%s
pid_file_path = {base}/spool/exim.pid
exim_user = nobody
exim_group = nogroup
never_users =
keep_environment =
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
disable_ipv6
host_lookup =
tls_advertise_hosts =
rfc1413_query_timeout = 0s
deliver_drop_privilege
acl_smtp_rcpt = recipients

begin acl
recipients:
  deny message = Sender verify failed
    senders = *@unknown.test
  deny message = relay not permitted
    domains = ! x.test : ! late.test
  require verify = recipient
  accept

begin routers
is_full:
  driver = redirect
  domains = late.test
  local_parts = full
  verify = false
  allow_fail
  data = :fail: 552 5.2.2 mailbox is full
comes_back:
  driver = redirect
  domains = late.test
  verify = false
  allow_fail
  data = :fail: 550 5.1.1 no such mailbox
taken_at_first:
  driver = accept
  domains = late.test
  verify_only
here:
  driver = accept
  domains = x.test
  local_parts = ! ^gone
  transport = maildir

begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {base}/mail
  create_directory
  user = nobody
  group = nogroup

begin retry
* * F,1h,1m
"""


@dataclass(frozen=True)
class Exim:
    base: Path
    port: int

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def maildir(self) -> Path:
        return self.base / "mail"


def is_installed() -> bool:
    """Debian refuses to install it beside postfix: `.ci/run` takes it out of its package."""
    return os.geteuid() == 0 and shutil.which("exim4") is not None


@contextmanager
def exim(base: Path, port: int) -> Iterator[Exim]:
    """`base` must be reachable for nobody, the user whom it runs as."""
    nobody = pwd.getpwnam("nobody")
    for name in ("spool", "log", "mail"):
        (base / name).mkdir(parents=True)
        os.chown(base / name, nobody.pw_uid, nobody.pw_gid)
    config = base / "exim.conf"
    config.write_text(_CONFIG.format(base=base, port=port))
    with (base / "log" / "stderr").open("wb") as log:
        process = subprocess.Popen(
            ["exim4", "-C", str(config), "-bdf"], stderr=log, start_new_session=True
        )
    try:
        until(lambda: answers(port), "Exim's start")
        yield Exim(base, port)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=10)
