"""A text file of rows, however it was saved: UTF-8, UTF-16 or Windows-1252; commas, semicolons or
tabs; `sep=` in front, quotes that nobody escaped, empty columns at the end."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, cast

from activelog.base.errors import Permanent
from activelog.imports.model import Refused

LONGEST_LINE = 200_000  # characters
LONGEST_FILE = 1024**3  # bytes, unpacked
MOST_LINES = 5_000_000
MOST_COLUMNS = 1_000
SHOWN = 200  # characters of a row in a report
_LONGEST_HEADER = 1024**2  # bytes that are read for it
_CHUNK = 1 << 18
_SAMPLE, _MOST_SAMPLED = 200, 1_000  # rows: good ones, and any
_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f]")  # in a header


@dataclass(frozen=True)
class Row:
    line: int
    cells: list[str]

    @property
    def says(self) -> str:
        return ",".join(self.cells)[:SHOWN]


@dataclass(frozen=True)
class Table:
    """`rows` reads the file from its beginning, as often as it is called."""

    file: BinaryIO
    encoding: str
    delimiter: str
    header: list[str]
    first: int  # the line of the first row
    are_lines_quoted: bool

    def rows(self) -> Iterator[Row | Refused]:
        """In order, in constant memory; empty lines are left out."""
        lines = _Lines(self.file, self.encoding)
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            lines.begin_record()
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                repaired = self._repaired(lines.record)
                if repaired is None:
                    if line >= self.first:
                        yield Refused(line, _explain(error), lines.record[:SHOWN])
                    continue
                cells = repaired
            if line < self.first:
                continue
            if self.are_lines_quoted and len(cells) == 1:
                cells = next(csv.reader(cells, delimiter=self.delimiter), [])
            found = self._checked(line, cells, lines)
            if found is not None:
                yield found

    def _checked(self, line: int, cells: list[str], lines: "_Lines") -> Row | Refused | None:
        if lines.too_long:
            return Refused(line, f"is longer than {LONGEST_LINE:,} characters")
        if not any(map(str.strip, cells)):
            return None
        columns = len(self.header)
        if len(cells) > columns and not any(map(str.strip, cells[columns:])):
            cells = cells[:columns]
        row = Row(line, cells)
        if len(cells) != columns:
            reason = f"has {len(cells)} columns, not {columns} like the header"
            return Refused(line, reason, _printable(row.says))
        if is_no_text(cells):
            return Refused(line, "is not UTF-8 text", _printable(row.says))
        return row

    def _repaired(self, line: str) -> list[str] | None:
        """The cells of a line with quotes inside of quotes, `"8 x 20"/40"",`; None where it is not
        clear where they end."""
        mark = re.escape(self.delimiter)
        pattern = re.compile(rf'"(.*?)"(?={mark}|\s*$)|([^{mark}"][^{mark}]*|)(?={mark}|\s*$)')
        cells, place, line = [], 0, line.rstrip("\r\n")
        while place <= len(line):
            found = pattern.match(line, place)
            if found is None:
                return None
            cells.append((found[1] if found[1] is not None else found[2]).replace('""', '"'))
            place = found.end() + 1
        return cells if len(cells) == len(self.header) else None


def unpacked(file: BinaryIO) -> BinaryIO:
    """What is in a gzip file; any other file as it is."""
    is_packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if is_packed else file


def open_table(file: BinaryIO, looked_at: int | None = None) -> Table:
    """Reads the header; finds out the encoding from so many bytes, or from all. Raises Permanent
    when the file is no table of text."""
    csv.field_size_limit(LONGEST_LINE)
    encoding = _encoding(file, looked_at or LONGEST_FILE)
    file.seek(0)
    is_binary = b"\0" in file.read(_CHUNK) and not encoding.startswith("utf-16")
    lines = _Lines(file, encoding, _LONGEST_HEADER)
    skipped, line = 0, next(iter(lines), "")
    if is_binary or _CONTROLS.search(line):
        raise Permanent("the file is no text")
    said = _SEPARATOR.fullmatch(line)
    if said:
        skipped, line = 1, next(iter(lines), "")
    lines.begin_record(line)
    delimiter = said[1] if said else _delimiter(line)
    reader = csv.reader(_chain(line, lines), delimiter=delimiter)
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise Permanent(f"the header cannot be read: {error}") from None
    if lines.too_long:
        raise Permanent("the file, or its first line, is too long")
    quoted = len(header) == 1 and delimiter in header[0]
    if quoted:
        header = next(csv.reader(header, delimiter=delimiter))
    if is_no_text(header):
        raise Permanent("the header is not UTF-8 text")
    names = [name.strip() for name in header]
    while names and not names[-1]:
        names.pop()
    if len(names) > MOST_COLUMNS:
        raise Permanent(f"the header has more than {MOST_COLUMNS:,} columns")
    return Table(file, encoding, delimiter, names, skipped + reader.line_num + 1, quoted)


def sample(table: Table) -> list[list[str]]:
    """The cells of the first good rows, among the first thousand of any."""
    rows = islice(table.rows(), _MOST_SAMPLED)
    return [row.cells for row in islice((row for row in rows if isinstance(row, Row)), _SAMPLE)]


def beginning(file: BinaryIO, most: int) -> BinaryIO:
    """The first bytes of a file, unpacked."""
    with packed_errors():
        return io.BytesIO(unpacked(file).read(most))


def is_no_text(cells: list[str]) -> bool:
    return any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell)


def _explain(error: csv.Error) -> str:
    at_end = str(error) == "unexpected end of data"
    return "begins a quote that never ends" if at_end else str(error)


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _chain(first: str, lines: "_Lines") -> Iterator[str]:
    yield first
    yield from lines


def _delimiter(line: str) -> str:
    """The mark that parts a header into most names."""
    return max(",;\t|", key=lambda mark: len(next(csv.reader([line], delimiter=mark), [])))


def _encoding(file: BinaryIO, looked_at: int) -> str:
    """UTF-8 unless something tells of another one. Where a file has both bytes that are no UTF-8
    and letters that are, its rows are refused one by one; where it has none, an old program wrote
    it."""
    file.seek(0)
    start = file.read(4)
    if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    if len(start) == 4 and start[1] == start[3] == 0 and start[0]:
        return "utf-16-le"
    if len(start) == 4 and start[0] == start[2] == 0 and start[1]:
        return "utf-16-be"
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    is_broken, has_letters = False, False
    for chunk in _chunks(file, looked_at):
        if chunk.isascii():
            continue
        text = decoder.decode(chunk)
        is_broken = is_broken or re.search("[\udc80-\udcff]", text) is not None
        has_letters = has_letters or re.search("[\u0080-\ud7ff\ue000-\U0010ffff]", text) is not None
        if is_broken and has_letters:
            break
    return "cp1252" if is_broken and not has_letters else "utf-8-sig"


def _chunks(file: BinaryIO, most: int) -> Iterator[bytes]:
    with packed_errors():
        while file.tell() < most and (chunk := file.read(_CHUNK)):
            yield chunk


@contextmanager
def refused(reason: str, *errors: type[Exception]) -> Iterator[None]:
    """These errors become Permanent, for this reason."""
    try:
        yield
    except errors:
        raise Permanent(reason) from None


def packed_errors() -> AbstractContextManager[None]:
    """What damaged gzip raises becomes Permanent."""
    return refused("the packed file is damaged", EOFError, gzip.BadGzipFile, zlib.error)


class _Lines:
    """The lines of a file, without the text of those that are too long: a file may be one line.
    Raises Permanent behind `most` bytes or MOST_LINES: a small one may be packed that is endless,
    or nothing but ends of lines."""

    def __init__(self, file: BinaryIO, encoding: str, most: int | None = None) -> None:
        self.too_long = False
        self.record = ""  # the text of the row that is read
        self._lines = self._read(file, encoding, most or LONGEST_FILE)

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def begin_record(self, text: str = "") -> None:
        self.too_long, self.record = False, text

    def _read(self, file: BinaryIO, encoding: str, most: int) -> Iterator[str]:
        file.seek(0)
        errors = "replace" if encoding == "cp1252" else "surrogateescape"
        if encoding.startswith("utf-16"):
            errors = "replace"
        text = io.TextIOWrapper(file, encoding, errors=errors, newline="")
        lines = 0
        try:
            with packed_errors():
                while line := text.readline(LONGEST_LINE):
                    _check_place(file, most)
                    lines += 1
                    if lines > MOST_LINES:
                        raise Permanent(f"the file has more than {MOST_LINES:,} lines")
                    if len(line) == LONGEST_LINE and not line.endswith("\n"):
                        self.too_long = True
                        while (rest := text.readline(LONGEST_LINE)) and not rest.endswith("\n"):
                            _check_place(file, most)
                        line = "\n"
                    if len(self.record) < LONGEST_LINE:
                        self.record += line
                    yield line
        finally:
            if not file.closed:
                text.detach()  # or it would close the caller's file


def _check_place(file: BinaryIO, most: int) -> None:
    if file.tell() > most:
        raise Permanent("the file, or its first line, is too long")
