"""A real MTA on loopback: requires STARTTLS and AUTH, refuses to relay, and delivers every
address of x.test to one maildir. Mails to late.test are taken and come back."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

USER, PASSWORD = "app@lab.test", "pw"
_FILES = ("dynamicmaps.cf", "postfix-files", "dynamicmaps.cf.d", "postfix-files.d")

_MAIN = """
compatibility_level = 3.6
queue_directory = {base}/spool
data_directory = {base}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = /var/log/activelog-test-{port}.log
myhostname = lab.test
mydestination = late.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
mynetworks =
local_recipient_maps =
default_transport = error:5.7.1 no relay from the test MTA
virtual_mailbox_domains = x.test
virtual_mailbox_base = {base}/mail
virtual_mailbox_maps = static:x.test/inbox/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_tls_cert_file = {base}/cert.pem
smtpd_tls_key_file = {base}/key.pem
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_local_domain = lab.test
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
"""

_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
qmgr unix n - n 300 1 qmgr
cleanup unix n - n - 0 cleanup
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

_SASL = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {base}/sasl/sasldb2
mech_list: PLAIN LOGIN
"""


@dataclass(frozen=True)
class Postfix:
    base: Path
    port: int

    @property
    def url(self) -> str:
        return f"smtp+starttls://{quote(USER, safe='')}:{PASSWORD}@localhost:{self.port}"

    @property
    def certificate(self) -> Path:
        return self.base / "cert.pem"

    @property
    def maildir(self) -> Path:
        return self.base / "mail" / "x.test" / "inbox"

    def mails(self) -> list[Path]:
        return sorted((self.maildir / "new").glob("*"))


def is_installed() -> bool:
    return os.geteuid() == 0 and all(map(shutil.which, ("postfix", "saslpasswd2", "openssl")))


@contextmanager
def postfix(base: Path, port: int) -> Iterator[Postfix]:
    """`base` must be reachable for the users that postfix runs as."""
    _configure(base, port)
    _run("postfix", "-c", str(base / "etc"), "start")
    try:
        yield Postfix(base, port)
    finally:
        _run("postfix", "-c", str(base / "etc"), "stop")


def _configure(base: Path, port: int) -> None:
    for name in ("etc/sasl", "spool", "data", "mail/x.test/inbox", "sasl"):
        (base / name).mkdir(parents=True)
    for name in _FILES:
        source = Path("/etc/postfix", name)
        if source.is_dir():
            shutil.copytree(source, base / "etc" / name)
        elif source.exists():
            shutil.copy(source, base / "etc" / name)
    nobody = pwd.getpwnam("nobody")
    values = {"base": base, "port": port, "uid": nobody.pw_uid, "gid": nobody.pw_gid}
    (base / "etc/main.cf").write_text(_MAIN.format(**values))
    (base / "etc/master.cf").write_text(_MASTER.format(**values))
    (base / "etc/sasl/smtpd.conf").write_text(_SASL.format(**values))
    _run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(base / "key.pem"), "-out", str(base / "cert.pem"))  # fmt: skip
    database = base / "sasl" / "sasldb2"
    _run("saslpasswd2", "-p", "-c", "-f", str(database), "-u", "lab.test", "app", stdin=PASSWORD)
    shutil.chown(database, "root", "postfix")
    database.chmod(0o640)
    for name in ("mail/x.test/inbox", "mail/x.test"):
        shutil.chown(base / name, "nobody", nobody.pw_gid)
    shutil.chown(base / "data", "postfix")


def _run(*command: str, stdin: str | None = None) -> None:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
