"""One signed request to somebody's address, and to no address inside of our network: the name is
looked up once, and the connection goes to what was found and checked."""

import base64
import hmac
import http.client
import ipaddress
import re
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from activelog.base.errors import AppError, JobError

PATIENCE = 10.0  # seconds for all of it
_PREFIX = "whsec_"
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
# Other IPv6 addresses are not public: site-local, local NAT64, translated ones.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NotDelivered(JobError):
    """`is_gone`: the address says that nobody is there any more (410)."""

    def __init__(self, message: str, *, is_gone: bool = False) -> None:
        super().__init__(message)
        self.is_gone = is_gone


@dataclass(frozen=True)
class Signed:
    """As Standard Webhooks have it."""

    body: bytes
    headers: dict[str, str]


def clean_url(url: str, *, may_be_private: bool = False) -> str:
    """Raises AppError for one that we do not post to."""
    if not url.isascii():
        raise AppError.invalid("url", "must be ASCII: write the name as xn--…, and others as %…")
    if any(letter <= " " or letter == "\x7f" for letter in url):
        raise AppError.invalid("url", "must have no spaces and no control characters")
    parts = _split(url)
    if parts.scheme != "https" or not parts.hostname or parts.port == 0:
        raise AppError.invalid("url", "must be an https address")
    if "@" in parts.netloc or parts.fragment:
        raise AppError.invalid("url", "must have no user, no password and no fragment")
    if not may_be_private:
        _check_host(parts.hostname)
    return url


def _check_host(host: str) -> None:
    """What is known of it before anybody looks it up."""
    try:
        is_public = ipaddress.ip_address(host).is_global
    except ValueError:
        # Old ways to write an address, 2130706433 or 0x7f.1, end in a number; no name does.
        labels = host.removesuffix(".").split(".")
        is_public = all(map(_LABEL.fullmatch, labels)) and not labels[-1][0].isdecimal()
    if not is_public:
        raise AppError.invalid("url", "must lead to a public host, by its name or address")


def secret_of(secret: str, webhook_id: object) -> str:
    """Of a webhook: what its owner checks signatures with."""
    key = hmac.digest(secret.encode(), f"activelog webhook {webhook_id}".encode(), "sha256")
    return _PREFIX + base64.b64encode(key).decode()


def sign(secret: str, message_id: str, body: bytes, now: float) -> Signed:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    moment = str(int(now))
    text = f"{message_id}.{moment}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, text, "sha256")).decode()
    return Signed(
        body,
        {
            "Content-Type": "application/json",
            "User-Agent": "ActiveLog webhooks",
            "webhook-id": message_id,
            "webhook-timestamp": moment,
            "webhook-signature": f"v1,{signature}",
        },
    )


def post(url: str, signed: Signed, *, may_be_private: bool) -> str:
    """The status; blocks for ten seconds at most. Raises NotDelivered for anything but a 2xx.
    It follows no redirect: one may lead to a private address."""
    parts = _split(url)
    host, port = parts.hostname or "", parts.port or 443
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        address = _address_of(host, port, may_be_private=may_be_private)
        with _Connection(host, port, address) as connection:
            connection.request("POST", path, signed.body, signed.headers)
            status = connection.getresponse().status
            if connection.is_broken_off:  # (then the headers may have ended too early)
                raise TimeoutError
    except ssl.SSLCertVerificationError:
        raise NotDelivered("its certificate is not valid") from None
    except (OSError, http.client.HTTPException) as error:
        raise NotDelivered(f"no answer within {PATIENCE:g} s, or none that is HTTP") from error
    if not 200 <= status < 300:
        raise NotDelivered(f"it answered {status}", is_gone=status == 410)
    return str(status)


class _Connection(http.client.HTTPSConnection):
    """To an address that was looked up before; the certificate is checked against the name. It is
    broken off after ten seconds, also when the other side sends a byte now and then."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port)
        self._to = address
        self.is_broken_off = False
        self._alarm = threading.Timer(PATIENCE, self._break_off)
        self._alarm.daemon = True

    def connect(self) -> None:
        plain = socket.create_connection((self._to, self.port), PATIENCE)
        context = ssl.create_default_context()
        self.sock = context.wrap_socket(
            plain, server_hostname=self.host, do_handshake_on_connect=False
        )
        if self.is_broken_off:
            raise TimeoutError
        self.sock.do_handshake()

    def __enter__(self) -> "_Connection":
        self._alarm.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._alarm.cancel()
        self.close()

    def _break_off(self) -> None:
        self.is_broken_off = True
        if self.sock is not None:
            with suppress(OSError):
                # (Of the socket below: TLS is in the other thread's hands.)
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


def _address_of(host: str, port: int, *, may_be_private: bool) -> str:
    """The first one, if all of them are public."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotDelivered("its name leads nowhere") from None
    addresses = [str(one[4][0]) for one in found]
    if not may_be_private and not all(map(_is_public, addresses)):
        raise NotDelivered("its name leads to a private address")
    return addresses[0]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inside = address.ipv4_mapped or _inside(address)
        if inside is None and address not in _GLOBAL_UNICAST:
            return False
        address = inside or address
    return address.is_global and not address.is_multicast


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that one of NAT64 or 6to4 leads to."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise AppError.invalid("url", "is no address") from None
    return parts
