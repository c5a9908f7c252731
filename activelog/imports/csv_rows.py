"""Reads activities from CSV: a row becomes Values, or a line number and a reason."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import msgspec

from activelog import http
from activelog.activities.model import NewActivity, Values, clean
from activelog.base.errors import AppError, Permanent
from activelog.imports.formats import detect
from activelog.imports.source import Format

LONGEST_LINE = 200_000  # characters
LONGEST_FILE = 1024**3  # bytes, unpacked
MOST_LINES = 5_000_000
_LONGEST_HEADER = 1024**2  # bytes that are read for it


@dataclass(frozen=True)
class Refused:
    line: int  # in the file, the header being 1
    reason: str


def unpacked(file: BinaryIO) -> BinaryIO:
    """What is in a gzip file; any other file as it is."""
    is_packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if is_packed else file


def read_rows(file: BinaryIO) -> Iterator[Values | Refused]:
    """The file's rows in order, in constant memory. Raises Permanent when it is no such file."""
    lines = _Lines(file)
    reader = csv.reader(lines, strict=True)
    found = _detect(reader)
    while True:
        first, lines.too_long = reader.line_num + 1, False
        try:
            cells = next(reader)
            if lines.too_long:
                yield Refused(first, f"is longer than {LONGEST_LINE:,} characters")
            elif cells:
                yield _parse(found, cells)
        except StopIteration:
            return
        except AppError as error:
            yield Refused(first, str(error))
        except csv.Error as error:
            at_end = str(error) == "unexpected end of data"
            reason = "begins a quote that never ends" if at_end else str(error)
            yield Refused(first, reason)


def detect_format(file: BinaryIO) -> str:
    """Whose file it is, by its first line. Raises Permanent when it is nobody's."""
    found = _detect(csv.reader(_Lines(file, _LONGEST_HEADER))).name
    file.seek(0)
    return found


def _detect(reader: Iterator[list[str]]) -> Format:
    csv.field_size_limit(LONGEST_LINE)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise Permanent(f"the header cannot be read: {error}") from None
    if _is_no_utf8(header):
        raise Permanent("the header is not UTF-8 text")
    return detect(header)


def _is_no_utf8(cells: list[str]) -> bool:
    return any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell)


class _Lines:
    """The lines of a file, without the text of those that are too long: a file may be one line.
    Raises Permanent behind `most` bytes or MOST_LINES: a small one may be packed that is endless,
    or nothing but ends of lines."""

    def __init__(self, file: BinaryIO, most: int = LONGEST_FILE) -> None:
        self.too_long = False
        self._lines = _read_lines(file, self, most)

    def __iter__(self) -> Iterator[str]:
        return self._lines


def _read_lines(file: BinaryIO, flags: _Lines, most: int) -> Iterator[str]:
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    lines = 0
    try:
        while line := text.readline(LONGEST_LINE):
            _check_place(file, most)
            lines += 1
            if lines > MOST_LINES:
                raise Permanent(f"the file has more than {MOST_LINES:,} lines")
            if len(line) == LONGEST_LINE and not line.endswith("\n"):
                flags.too_long = True
                while (rest := text.readline(LONGEST_LINE)) and not rest.endswith("\n"):
                    _check_place(file, most)
                line = "\n"
            yield line
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise Permanent("the packed file is damaged") from None
    finally:
        if not file.closed:
            text.detach()  # or it would close the caller's file


def _check_place(file: BinaryIO, most: int) -> None:
    if file.tell() > most:
        raise Permanent("the file, or its first line, is too long")


def _parse(found: Format, cells: list[str]) -> Values:
    if len(cells) != found.columns:
        raise AppError("invalid row", f"has not {found.columns} columns like the header")
    if _is_no_utf8(cells):
        raise AppError("invalid row", "is not UTF-8 text")
    try:
        return clean(msgspec.convert(found.parse(cells), NewActivity, strict=False))
    except msgspec.ValidationError as error:
        raise AppError("invalid row", http.explain(error).message) from None
    except (ValueError, OverflowError, LookupError):
        raise AppError("invalid row", "has a value that cannot be read") from None
