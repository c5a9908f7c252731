"""Whatever a picture says beside what it shows is gone, and no broken one breaks anything."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from activelog.base.pictures import NotAPicture, clean_picture

TOLD = b"taken at home 51.5N"


def picture(kind: str) -> bytes:
    out = BytesIO()
    Image.new("RGB", (60, 40), "orange").save(out, kind)
    return out.getvalue()


def jpeg_with(marker: int, content: bytes) -> bytes:
    plain = picture("JPEG")
    segment = struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    return plain[:2] + segment + plain[2:]


def png_with(kind: bytes, content: bytes) -> bytes:
    plain = picture("PNG")
    crc = struct.pack(">I", zlib.crc32(kind + content))
    header = 8 + 25  # the signature, and IHDR
    return plain[:header] + struct.pack(">I", len(content)) + kind + content + crc + plain[header:]


def webp_with(kind: bytes, content: bytes) -> bytes:
    plain = picture("WEBP")
    flags = {b"EXIF": 8, b"XMP ": 4, b"ICCP": 32}.get(kind, 0)
    header = b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0, 59, 0, 0, 39, 0, 0])
    chunk = kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    body = b"WEBP" + header + chunk + plain[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def telling() -> Iterator[tuple[str, bytes]]:
    starts = {0xE0: b"JFIF\0", 0xE1: b"Exif\0\0", 0xE2: b"ICC_PROFILE\0\1\1", 0xEE: b"Adobe\0"}
    for marker in (*range(0xE0, 0xF0), 0xFE, *range(0xF0, 0xFE)):  # APPn, COM, JPGn
        yield f"JPEG {marker:X}", jpeg_with(marker, TOLD)
        yield f"JPEG {marker:X} of its kind", jpeg_with(marker, starts.get(marker, b"") + TOLD)
    yield "JPEG XMP", jpeg_with(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + TOLD)
    yield "JPEG Photoshop", jpeg_with(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0" + TOLD)
    yield "JPEG and more behind it", picture("JPEG") + TOLD
    zipped = zlib.compress(TOLD)
    for kind, content in (
        (b"tEXt", b"Comment\0" + TOLD), (b"zTXt", b"Comment\0\0" + zipped),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + TOLD), (b"eXIf", b"II*\0" + TOLD),
        (b"iCCP", b"home\0\0" + zipped), (b"tIME", b"\7\xe8\1\2\3\4\5"), (b"prVt", TOLD),
        (b"hIST", b"\0\1"), (b"sPLT", b"home\0\10" + TOLD), (b"pHYs", b"\0\0\1\0\0\0\1\0\1"),
    ):  # fmt: skip
        yield f"PNG {kind.decode()}", png_with(kind, content)
    yield "PNG and more behind it", picture("PNG") + TOLD
    for chunk in (b"EXIF", b"XMP ", b"ICCP", b"home"):
        yield f"WebP {chunk.decode()}", webp_with(chunk, TOLD)
    yield "WebP and more behind it", picture("WEBP") + TOLD


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in telling()])
def test_no_segment_of_metadata_survives(data: bytes) -> None:
    try:
        cleaned = clean_picture(data, 100).data
    except NotAPicture:
        return
    assert TOLD not in cleaned
    assert set(segments(cleaned)) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}, "JFIF and what is drawn"
    assert cleaned.endswith(b"\xff\xd9")
    assert cleaned == clean_picture(picture(kind_of(data)), 100).data, "as if nothing was told"


def kind_of(data: bytes) -> str:
    return {b"\xff\xd8": "JPEG", b"\x89P": "PNG", b"RI": "WEBP"}[data[:2]]


def segments(jpeg: bytes) -> Iterator[int]:
    """The markers up to the picture's data."""
    at = 2
    while jpeg[at + 1] != 0xDA:
        yield jpeg[at + 1]
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    yield 0xDA


@given(
    st.sampled_from(["JPEG", "PNG", "WEBP"]),
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=8)), max_size=6),
    st.integers(0, 10_000),
)
@settings(max_examples=300, deadline=None)
def test_a_broken_picture_is_a_picture_or_none(
    kind: str, changes: list[tuple[int, bytes]], cut: int
) -> None:
    data = bytearray(picture(kind))
    for place, piece in changes:
        at = place % len(data)
        data[at : at + len(piece)] = piece
    try:
        found = clean_picture(bytes(data[: max(20, len(data) - cut % 200)]), 50)
    except NotAPicture:
        return
    assert max(found.width, found.height) <= 50
