"""Reads activities from CSV: a row becomes Values, or a line number and a reason."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from activelog import api
from activelog.activities.model import NewActivity, Values, clean
from activelog.errors import AppError, Permanent

LONGEST_LINE = 200_000  # characters
_REQUIRED = ("activity_type", "duration_minutes", "activity_date")
_KNOWN = (*_REQUIRED, "id", "distance_km", "tags", "notes", "calories")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n]")


@dataclass(frozen=True)
class Refused:
    line: int  # in the file, the header being 1
    reason: str


def read_rows(file: BinaryIO) -> Iterator[Values | Refused]:
    """The file's rows in order, in constant memory. Raises Permanent when it is no such file."""
    csv.field_size_limit(LONGEST_LINE)
    lines = _Lines(file)
    reader = csv.reader(lines)
    header = _header(reader)
    while True:
        first, lines.too_long = reader.line_num + 1, False
        try:
            cells = next(reader)
            if lines.too_long:
                yield Refused(first, f"is longer than {LONGEST_LINE:,} characters")
            elif cells:
                yield _parse(dict(zip(header, cells, strict=True)))
        except StopIteration:
            return
        except ValueError:
            yield Refused(first, f"has not {len(header)} columns like the header")
        except (csv.Error, AppError) as error:
            yield Refused(first, str(error))


def check_file(file: BinaryIO) -> None:
    """Raises Permanent when the first line is not the header of such a file."""
    _header(csv.reader(_Lines(file)))


def _header(reader: Iterator[list[str]]) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise Permanent(f"the header cannot be read: {error}") from None
    _check_header(header)
    return header


def _check_header(header: list[str]) -> None:
    missing = [name for name in _REQUIRED if name not in header]
    unknown = [name for name in header if name not in _KNOWN]
    if missing:
        raise Permanent(f"the header has no column {', '.join(missing)}")
    if unknown or len(set(header)) < len(header):
        raise Permanent(
            f"the header has unknown or repeated columns: {', '.join(unknown or header)}"
        )


class _Lines:
    """The lines of a file, without the text of those that are too long: a file may be one line."""

    def __init__(self, file: BinaryIO) -> None:
        self.too_long = False
        self._lines = _read_lines(file, self)

    def __iter__(self) -> Iterator[str]:
        return self._lines


def _read_lines(file: BinaryIO, flags: _Lines) -> Iterator[str]:
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        while line := text.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE and not line.endswith("\n"):
                flags.too_long = True
                while (rest := text.readline(LONGEST_LINE)) and not rest.endswith("\n"):
                    pass
                line = "\n"
            yield line
    finally:
        if not file.closed:
            text.detach()  # or it would close the caller's file


def _parse(cells: dict[str, str]) -> Values:
    cells = {name: unguard(cell) for name, cell in cells.items()}
    if any("\udc80" <= letter <= "\udcff" for cell in cells.values() for letter in cell):
        raise AppError("invalid row", "is not UTF-8 text")
    fields: dict[str, object] = {
        name: cell for name, cell in cells.items() if name != "id" and cell != ""
    }
    if "tags" in fields:
        fields["tags"] = cells["tags"].split(",")
    try:
        return clean(msgspec.convert(fields, NewActivity, strict=False))
    except msgspec.ValidationError as error:
        raise AppError("invalid row", api.explain(error).message) from None


def unguard(cell: str) -> str:
    """Undoes what an export puts before a text that a spreadsheet would take for a formula."""
    return cell[1:] if _GUARDED.match(cell) else cell
