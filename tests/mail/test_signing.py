"""DKIM, checked by the library's other half; and the records that receivers look up."""

import base64
import subprocess
from dataclasses import replace
from pathlib import Path

import dkim  # type: ignore[import-untyped]
import nacl.signing
import pytest

from activelog.base.errors import CommandError
from activelog.base.settings import Settings, Smtp
from activelog.mail.signing import Signer
from activelog.operations.mail_records import examine
from tests.conftest import running
from tests.mail.test_smtp import sink


def ed25519(folder: Path) -> tuple[Path, str]:
    """The key's file, and the record of its other half."""
    key = nacl.signing.SigningKey.generate()
    path = folder / "ed25519.key"
    path.write_bytes(base64.b64encode(key.encode()))
    public = base64.b64encode(key.verify_key.encode()).decode()
    return path, f"v=DKIM1; k=ed25519; p={public}"


def rsa(folder: Path) -> tuple[Path, str]:
    path = folder / "rsa.pem"
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", path, "2048"], check=True,
                   capture_output=True)  # fmt: skip
    public = subprocess.run(["openssl", "rsa", "-in", path, "-pubout", "-outform", "DER"],
                            check=True, capture_output=True).stdout  # fmt: skip
    return path, f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


@pytest.mark.parametrize("make", [ed25519, rsa])
async def test_mails_leave_signed(settings: Settings, tmp_path: Path, make: object) -> None:
    path, record = make(tmp_path)  # type: ignore[operator]
    signed = replace(settings, dkim_key=path)
    async with sink() as (server, smtp), running(replace(signed, mail=smtp)) as world:
        await world.register("ada@example.com")
        await world.work()
    assert len(server.mails) == 2
    for envelope in server.mails:
        data = envelope.original_content or b""
        assert dkim.verify(data, dnsfunc=lambda name, timeout=5: record.encode())
        changed = data.replace(b"ActiveLog", b"EvilLog", 1)
        assert not dkim.verify(changed, dnsfunc=lambda name, timeout=5: record.encode())


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("nonsense")
    for path in (tmp_path / "key", tmp_path / "nothing"):
        with pytest.raises(CommandError, match="ACTIVELOG_DKIM_KEY"):
            Signer(path, "s", "example.com")


def lines(settings: Settings, records: dict[tuple[str, str], list[str]]) -> dict[str, bool]:
    return dict(examine(settings, lambda name, kind: records.get((name, kind), [])))


def test_the_doctor_says_which_record_is_missing(settings: Settings, tmp_path: Path) -> None:
    path, record = ed25519(tmp_path)
    settings = replace(
        settings, mail_from="ActiveLog <hello@example.com>", dkim_key=path,
        bounces="back@bounces.example.com", mail=Smtp("mx.example.com", 25, "plain"),
    )  # fmt: skip
    good = {
        ("bounces.example.com", "TXT"): ["v=spf1 a:mx.example.com -all", "other"],
        ("activelog._domainkey.example.com", "TXT"): [record],
        ("_dmarc.example.com", "TXT"): ["v=DMARC1; p=reject"],
        ("example.com", "MX"): ["mx.example.com"],
        ("bounces.example.com", "MX"): ["mx.example.com"],
        ("mx.example.com", "A"): ["203.0.113.7"],
        ("203.0.113.7", "PTR"): ["mx.example.com"],
    }
    found = lines(settings, good)
    assert all(found.values()), found
    for missing, said in (
        (("bounces.example.com", "TXT"), 'add the TXT record bounces.example.com "v=spf1'),
        (("activelog._domainkey.example.com", "TXT"), "add the TXT record activelog._domainkey"),
        (("_dmarc.example.com", "TXT"), "add the TXT record _dmarc.example.com"),
        (("example.com", "MX"), "MX of example.com: missing"),
        (("203.0.113.7", "PTR"), "it has none"),
        (("mx.example.com", "A"), "it has no address"),
    ):
        wrong = [line for line, is_good in lines(settings, good | {missing: []}).items()
                 if not is_good]  # fmt: skip
        assert len(wrong) == 1, wrong
        assert said in wrong[0]
    ed25519(tmp_path)  # another key in its place
    found = lines(settings, good)
    assert any("another key" in line for line, is_good in found.items() if not is_good)
