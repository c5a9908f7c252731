"""The bytes of a message, read by the standard library."""

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from activelog.base.errors import Permanent
from activelog.mail import Recipient, compose
from activelog.mail.message import Message

NAMES = [
    "Ada",
    "Ada Lovelace, Countess",
    'The "Great" Ada (she)',
    "Ada\\Lovelace",
    "Ада Лавлейс",
    "晚间跑步" * 25,
    "🎉 party",
    "אדה",
    "x" * 300,
    "<script>alert(1)</script>",
    "=?utf-8?q?=E2=80=AEevil?=",
]


def message(name: str = "Ada", subject: str = "Hi", text: str = "Hi\n") -> Message:
    content = (subject, text, f"<p>{text}</p>")
    headers = {"List-Unsubscribe": f"<https://x.test/unsubscribe?token={'t' * 300}>"}
    return compose(
        "ActiveLog <hello@x.test>", Recipient(name, "ada@x.test"), "<1@x.test>", content, headers
    )


def parsed(sent: Message) -> EmailMessage:
    found = message_from_bytes(sent.data, policy=policy.default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_name_arrives(name: str) -> None:
    sent = message(name, subject=f"Welcome, {name}!")
    mail = parsed(sent)
    shown = mail["To"].addresses[0].display_name
    # The parser puts a space between two encoded words of a name; RFC 2047 says that there is none.
    assert shown == name or shown.replace(" ", "") == name
    assert mail["To"].addresses[0].addr_spec == "ada@x.test"
    assert mail["Subject"] == f"Welcome, {name}!"
    assert all(len(line) <= 998 for line in sent.data.split(b"\r\n"))
    assert b"\n" not in sent.data.replace(b"\r\n", b"")


def test_long_lines_dots_and_every_letter_arrive() -> None:
    text = "x" * 5000 + "\n.\n..\nFrom here\n" + "晚间 🎉 = =3D\n" + "trailing \n"
    mail = parsed(message(text=text))
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n") == text
    assert mail["List-Unsubscribe"].count("t" * 300) == 1


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Hi Ada,\n.\nFrom here on\ntrailing \n", "7bit"),
        ("x" * 901 + "\n", "quoted-printable"),
        ("a\rb\n", "quoted-printable"),
        ("a\0b\n", "quoted-printable"),
        ("晚\n", "quoted-printable"),
    ],
)
def test_what_any_relay_takes_is_sent_as_it_is(text: str, encoding: str) -> None:
    plain = parsed(message(text=text)).get_body(("plain",))
    assert plain is not None
    assert plain["Content-Transfer-Encoding"] == encoding
    assert plain.get_content().replace("\r\n", "\n") == text


@pytest.mark.parametrize("bad", ["a\nBcc: x@y.z", "a\rb", "a\r\nb", "a\0b"])
def test_nothing_ends_a_header_early(bad: str) -> None:
    with pytest.raises(Permanent):
        message(name=bad)
    with pytest.raises(Permanent):
        message(subject=bad)
