"""`activelog doctor --mail`: whether receivers can believe that our mails are ours."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from activelog.base.errors import CommandError
from activelog.base.settings import Settings, Smtp
from activelog.mail import domain_of, make_signer

# The records of a type at a name, as texts; none for what is not there.
Resolve = Callable[[str, str], list[str]]
Line = tuple[str, bool]


def resolver() -> Resolve:
    """Of this machine. Raises CommandError when the library is missing."""
    try:
        dns: Any = importlib.import_module("dns.resolver")
        reverse: Any = importlib.import_module("dns.reversename")
    except ImportError:
        raise CommandError("doctor --mail needs pip install 'activelog[dkim]'") from None

    def resolve(name: str, kind: str) -> list[str]:
        try:
            wanted = reverse.from_address(name) if kind == "PTR" else name
            answers = dns.resolve(wanted, kind, lifetime=5)
        except Exception:  # no such name, no answer, no server: there is no record for us
            return []
        if kind == "TXT":
            return [b"".join(one.strings).decode(errors="replace") for one in answers]
        return [one.to_text().rpartition(" ")[2].rstrip(".") for one in answers]

    return resolve


def examine(settings: Settings, resolve: Resolve) -> Iterator[Line]:
    """Lines for people, and whether each is good."""
    domain = domain_of(settings.mail_from)
    envelope = settings.bounces.rpartition("@")[2] if settings.bounces else domain
    relay = settings.mail.host if isinstance(settings.mail, Smtp) else None
    yield _spf(envelope, relay, resolve)
    yield _dkim(settings, resolve)
    yield _dmarc(domain, resolve)
    for name in dict.fromkeys((domain, envelope)):
        yield _mx(name, resolve)
    if relay is not None:
        yield _reverse(relay, resolve)


def _spf(domain: str, relay: str | None, resolve: Resolve) -> Line:
    found = [text for text in resolve(domain, "TXT") if text.lower().startswith("v=spf1")]
    if len(found) == 1:
        return f"SPF of {domain}: ok", True
    if found:
        return f"SPF of {domain}: {len(found)} records, and there may be one: join them", False
    wanted = f"v=spf1 {'a:' + relay if relay else 'mx'} ~all"
    return f'SPF of {domain}: missing: add the TXT record {domain} "{wanted}"', False


def _dkim(settings: Settings, resolve: Resolve) -> Line:
    signer = make_signer(settings)
    if signer is None:
        return "DKIM: your relay has to sign; else set ACTIVELOG_DKIM_KEY", True
    name = f"{signer.selector}._domainkey.{signer.domain}"
    found = resolve(name, "TXT")
    if not found:
        return f"DKIM: missing: add the TXT record {name} with your public key", False
    if not any(map(signer.verifies, found)):
        return f"DKIM: the record {name} has another key than ACTIVELOG_DKIM_KEY", False
    return "DKIM: ok", True


def _dmarc(domain: str, resolve: Resolve) -> Line:
    parts = domain.split(".")
    names = [f"_dmarc.{'.'.join(parts[at:])}" for at in range(max(1, len(parts) - 1))]
    if any(text.lower().startswith("v=dmarc1") for name in names for text in resolve(name, "TXT")):
        return "DMARC: ok", True
    record = f'_dmarc.{domain} "v=DMARC1; p=none; rua=mailto:postmaster@{domain}"'
    return f"DMARC: missing: add the TXT record {record}", False


def _mx(domain: str, resolve: Resolve) -> Line:
    if resolve(domain, "MX"):
        return f"MX of {domain}: ok", True
    return f"MX of {domain}: missing: replies and bounces to it are lost", False


def _reverse(host: str, resolve: Resolve) -> Line:
    addresses = resolve(host, "A") + resolve(host, "AAAA")
    if not addresses:
        return f"reverse name of {host}: it has no address", False
    for address in addresses:
        names = resolve(address, "PTR")
        if not any(address in resolve(name, "A") + resolve(name, "AAAA") for name in names):
            said = f"{names[0]} does not lead back" if names else "it has none"
            return f"reverse name of {address}: {said}: ask who gave you the address", False
    return f"reverse name of {host}: ok", True
