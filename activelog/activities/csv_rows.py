"""Reads activities from CSV: a row becomes Values, or a line number and a reason."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from activelog.activities.model import NewActivity, Values, clean
from activelog.errors import AppError, Permanent

LONGEST_LINE = 200_000  # characters
_REQUIRED = ("activity_type", "duration_minutes", "activity_date")
_KNOWN = (*_REQUIRED, "id", "distance_km", "tags", "notes", "calories")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n]")
_FIELD = re.compile(r"^(.*?) - at `\$\.?(\w*)")


@dataclass(frozen=True)
class Refused:
    line: int  # in the file, the header being 1
    reason: str


def read_rows(file: BinaryIO) -> Iterator[Values | Refused]:
    """The file's rows in order, in constant memory. Raises Permanent when it is no such file."""
    csv.field_size_limit(LONGEST_LINE)
    reader = csv.reader(_lines(file))
    header = [name.strip() for name in _next(reader) or []]
    _check_header(header)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
            if cells:
                yield _parse(dict(zip(header, cells, strict=True)))
        except StopIteration:
            return
        except ValueError:
            yield Refused(line, f"has not {len(header)} columns like the header")
        except (csv.Error, AppError) as error:
            yield Refused(line, str(error))


def _next(reader: Iterator[list[str]]) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as error:
        raise Permanent(f"the header cannot be read: {error}") from None


def _check_header(header: list[str]) -> None:
    missing = [name for name in _REQUIRED if name not in header]
    unknown = [name for name in header if name not in _KNOWN]
    if missing:
        raise Permanent(f"the header has no column {', '.join(missing)}")
    if unknown or len(set(header)) < len(header):
        raise Permanent(
            f"the header has unknown or repeated columns: {', '.join(unknown or header)}"
        )


def _lines(file: BinaryIO) -> Iterator[str]:
    text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        while line := text.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise Permanent(f"a line is longer than {LONGEST_LINE:,} characters")
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
        raise AppError("invalid row", _reason(error)) from None


def unguard(cell: str) -> str:
    """Undoes what an export puts before a text that a spreadsheet would take for a formula."""
    return cell[1:] if _GUARDED.match(cell) else cell


def _reason(error: msgspec.ValidationError) -> str:
    found = _FIELD.match(str(error))
    return f"{found[2]}: {found[1]}" if found else str(error)
