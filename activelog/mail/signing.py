"""DKIM signatures, for those whose relay does not sign: by dkimpy, the extra `dkim`."""

import importlib
from pathlib import Path
from typing import Any

from activelog.base.errors import CommandError
from activelog.base.settings import Settings
from activelog.mail.message import domain_of

_HEADERS = (
    *(b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type"),
    *(b"auto-submitted", b"list-unsubscribe", b"list-unsubscribe-post"),
)


class Signer:
    """With the key in a file: PEM of an RSA key, or the 32 bytes of an Ed25519 one in base64."""

    def __init__(self, key_file: Path, selector: str, domain: str) -> None:
        """Raises CommandError for a key that is none, or when dkimpy is missing."""
        try:
            self._dkim: Any = importlib.import_module("dkim")
        except ImportError:
            raise CommandError("ACTIVELOG_DKIM_KEY needs pip install 'activelog[dkim]'") from None
        try:
            key = key_file.read_bytes().strip()
        except OSError as error:
            raise CommandError(f"ACTIVELOG_DKIM_KEY: {error.strerror}: {key_file}") from None
        is_rsa = key.startswith(b"-----BEGIN")
        self.selector, self.domain = selector, domain
        self._options = {
            "selector": selector.encode(),
            "domain": domain.encode(),
            "privkey": key,
            "signature_algorithm": b"rsa-sha256" if is_rsa else b"ed25519-sha256",
            "canonicalize": (b"relaxed", b"relaxed"),
        }
        try:
            self.sign(b"From: probe@example.com\r\n\r\n")
        except Exception:  # what a broken key makes the library raise is not documented
            raise CommandError(f"ACTIVELOG_DKIM_KEY: {key_file} is no key for DKIM") from None

    def sign(self, data: bytes) -> bytes:
        """The message behind its signature. (It costs: call it in a thread.)"""
        head = data.partition(b"\r\n\r\n")[0].lower()
        names = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1].strip()]
        present = [name for name in _HEADERS if name in names]
        signature: bytes = self._dkim.sign(data, include_headers=present, **self._options)
        return signature + data

    def verifies(self, record: str) -> bool:
        """Whether receivers that read this record believe our signatures."""
        sample = self.sign(b"From: probe@example.com\r\nSubject: probe\r\n\r\nprobe\r\n")

        def answer(name: bytes, timeout: int = 5) -> bytes:
            return record.encode()

        try:
            return bool(self._dkim.verify(sample, dnsfunc=answer))
        except Exception:  # nor what a broken record makes it raise
            return False


def make_signer(settings: Settings) -> Signer | None:
    """None where the relay signs."""
    if settings.dkim_key is None:
        return None
    return Signer(settings.dkim_key, settings.dkim_selector, domain_of(settings.mail_from))
