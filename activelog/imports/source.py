"""A file of any kind that we know, as rows that come in or are refused."""

import csv
import io
import math
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, BinaryIO

import msgspec
from msgspec import Meta

from activelog import http
from activelog.activities.model import (
    LONGEST_SOURCE,
    LONGEST_TITLE,
    Calories,
    MovingMinutes,
    NewActivity,
    SourceName,
    Title,
    Values,
    clean,
)
from activelog.base.errors import AppError, Permanent
from activelog.base.formatting import counted, unescape_formula
from activelog.base.zones import clocks_of
from activelog.imports import tracks
from activelog.imports.cells import one_line
from activelog.imports.layouts import Layout, find_layout
from activelog.imports.model import Choices, Draft, Found, Refused
from activelog.imports.reading import Reader, make_reader, read_drafts
from activelog.imports.table import LONGEST_FILE, Row, Table, open_table, refused, unpacked
from activelog.imports.units import fastest, is_too_fast, is_too_slow

_LOOKED_AT = 1 << 20  # bytes of a table, before it is accepted
LARGEST_PHOTO = 20 * 1024 * 1024  # bytes
_MOST_ENTRIES = 100_000
_MOST_PHOTOS, _MOST_DETAILS = 100_000, 100_000  # of our own archive, in memory
_COLUMNS = {"photos.csv": {"activity_id", "file"}, "activity_details.csv": {"activity_id"}}
_CHUNK = 1 << 18
_NAMED = 5  # files that are left out
_TABLES = ("activities.csv", "cardioactivities.csv")  # in ZIPs: Strava's and ours, RunKeeper's
_FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Source:
    """`rows` are read once; `file` tells how far they are. `units` and `remarks` are for the
    report."""

    name: str
    file: BinaryIO
    rows: Iterator[Found | Refused]
    units: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    archive: zipfile.ZipFile | None = None

    def photo(self, name: str) -> bytes:
        """Of the archive. Raises Permanent for one that is not there, too large or damaged."""
        assert self.archive is not None
        with _zip_errors():
            try:
                entry = _entry(self.archive, name)
            except KeyError:
                raise Permanent("the archive does not hold this photo") from None
            if entry.file_size > LARGEST_PHOTO:
                raise Permanent(f"the photo has more than {LARGEST_PHOTO:,} bytes")
            with self.archive.open(entry) as file:
                return file.read(LARGEST_PHOTO)


def check_beginning(data: bytes) -> None:
    """Before the rest of an upload is taken in: pictures, films and programs are refused. Raises
    AppError."""
    if data.startswith((b"\xff\xd8", b"\x89PNG", b"GIF8", b"%PDF", b"\x7fELF", b"MZ", b"RIFF")):
        raise AppError("invalid request", "the body is no file of activities: it is no text")


def detect(file: BinaryIO, choices: Choices) -> str:
    """Whose file it is, by its beginning. Raises Permanent for a file of no kind that
    we know."""
    kind = kind_of(file)
    if kind == "zip":
        with _archive(file) as archive:
            return _zip_kind(archive)
    if kind == "table":
        return find_layout(open_table(unpacked(file), _LOOKED_AT), choices).name
    return kind


def header_digest(file: BinaryIO) -> str | None:
    """What tells tables with other columns apart; None for a file that is no table."""
    if kind_of(file) != "table":
        return None
    header = open_table(unpacked(file), _LOOKED_AT).header
    return sha256("\x1f".join(header).encode(errors="replace")).hexdigest()


@contextmanager
def open_source(file: BinaryIO, choices: Choices, now: datetime) -> Iterator[Source]:
    """Raises Permanent for a file of no kind that we know, Question when it may be read in two
    ways."""
    kind = kind_of(file)
    if kind == "zip":
        with _archive(file) as archive, _open_archive(archive, choices, now) as source:
            yield source
    elif kind == "table":
        yield _open_table(unpacked(file), choices, now)
    else:
        reader = tracks.READERS[f".{kind}"](unpacked(file))
        yield Source(kind, file, _values(reader, choices, now))


def kind_of(file: BinaryIO) -> str:
    """`zip`, `gpx`, `tcx`, `fit` or `table`."""
    plain = unpacked(file)
    try:
        start = plain.read(4096)
    except (OSError, EOFError, zlib.error):
        raise Permanent("the packed file is damaged") from None
    finally:
        file.seek(0)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if start[8:12] == b".FIT":
        return "fit"
    text = start.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if not text.startswith(b"<"):
        return "table"
    for kind, mark in (("gpx", b"gpx"), ("tcx", b"TrainingCenterDatabase")):
        if mark in text:
            return kind
    raise Permanent("it is XML, and neither GPX nor TCX")


def _open_table(file: BinaryIO, choices: Choices, now: datetime) -> Source:
    table = open_table(file)
    return open_rows(table, find_layout(table, choices), choices, now)


def open_rows(table: Table, layout: Layout, choices: Choices, now: datetime) -> Source:
    reader = make_reader(table, layout, choices, now)
    if layout.is_own:
        return Source(layout.name, table.file, _own_rows(table, reader, now))
    rows = _values(read_drafts(table, reader), choices, now)
    has_units = "distance" in layout.columns and reader.units.why
    return Source(
        layout.name, table.file, rows,
        reader.units.said() if has_units else {},
        (*reader.remarks, *_remarks(reader, table)),
    )  # fmt: skip


def _remarks(reader: Reader, table: Table) -> Iterator[str]:
    if reader.layout.name == "table":
        yield from reader.layout.columns.unread
    if reader.layout.columns.are_kilojoules:
        yield "the column of calories says kilojoules: they were made kilocalories"
    if reader.choices.columns:
        places = reader.layout.columns.places.items()
        columns = ", ".join(f"{meaning} = {table.header[place]}" for meaning, place in places)
        yield f"columns were read as you said: {columns}"
    if "distance" in reader.layout.columns and reader.units.is_assumed:
        said = reader.units.said()
        yield (f"distances were taken for {said['distance']}: {said['why']}; import again with"
               " units=km or units=mi if that is wrong")  # fmt: skip
    names_type = {"type", "exercise"} & set(reader.layout.columns.places)
    if not names_type and not reader.choices.type:
        yield "no column names a type; import again with type=running, or another one"
    if table.encoding == "cp1252":
        yield "the file is no UTF-8: its letters were read as Windows-1252"


def _values(
    drafts: Iterator[Draft | Refused], choices: Choices, now: datetime
) -> Iterator[Found | Refused]:
    for draft in drafts:
        yield draft if isinstance(draft, Refused) else _found(draft, choices, now)


def _found(draft: Draft, choices: Choices, now: datetime) -> Found | Refused:
    kind = draft.kind or choices.type or "workout"
    draft = replace(draft, kind=kind)
    title, notes = _title_and_notes(draft)
    fields = {
        "activity_type": kind,
        "activity_date": draft.moment,
        "duration_minutes": _minutes(draft.seconds or 0),
        "distance_km": (draft.metres or 0) / 1000,
        "calories": draft.calories,
        "title": title,
        "notes": notes,
        "tags": list(draft.tags),
        "moving_minutes": None if draft.moving is None else _minutes(draft.moving),
    }
    try:
        values = _clean(fields)
    except AppError as error:
        says = draft.title or f"{draft.moment:%Y-%m-%d %H:%M}, {kind}"
        return Refused(draft.line, str(error), says)
    return Found(draft.line, values, draft.doubts + tuple(_doubts(draft, now)), draft.photos)


def _minutes(seconds: float) -> int | float:
    """Whole ones; what is no number is refused like one that is too large."""
    return round(seconds / 60) if math.isfinite(seconds) else seconds


def _title_and_notes(draft: Draft) -> tuple[str, str]:
    """A title is one line; one that is too long stands in the notes as well."""
    title = one_line(draft.title)
    if len(title) <= LONGEST_TITLE:
        return title, draft.notes.strip()
    return f"{title[: LONGEST_TITLE - 1]}…", f"{draft.title}\n{draft.notes}".strip()


def _doubts(draft: Draft, now: datetime) -> Iterator[str]:
    """What nobody does, and what a broken clock writes."""
    if draft.metres and is_too_fast(draft.kind, draft.metres, draft.seconds):
        speed = draft.metres / (draft.seconds or 1) * 3.6
        yield (
            f"{draft.metres / 1000:,.2f} km make {speed:,.0f} km/h, more than the"
            f" {fastest(draft.kind)} of {draft.kind}: are the distance and its unit right?"
        )
    if is_too_slow(draft.kind, draft.metres or 0, draft.seconds):
        yield "that is slower than anybody goes: are the duration and the distance right?"
    if draft.seconds is None:
        yield "the file says no duration: it was taken for 0 minutes"
    elif draft.metres and draft.seconds < 30:
        yield "it lasted 0 minutes: is the duration right?"
    elif draft.seconds > 86400:
        yield f"it lasted {draft.seconds / 3600:,.0f} hours"
    yield from _odd_time(draft.moment, now)


def _odd_time(moment: datetime, now: datetime) -> Iterator[str]:
    if moment > now + timedelta(days=1):
        yield f"{moment:%Y-%m-%d} is in the future"
    elif moment < _FIRST_MOMENT:
        yield f"{moment:%Y-%m-%d} is before trackers were"


def _with_details(
    rows: Iterator[Found | Refused], archive: zipfile.ZipFile, stack: ExitStack
) -> Iterator[Found | Refused]:
    """What our own archive has beside activities.csv, in nearly the same order, and photos."""
    photos: dict[str, list[str]] = {}
    for count, row in enumerate(_table_of(archive, "photos.csv", stack)):
        if count == _MOST_PHOTOS:
            raise Permanent(f"photos.csv has more than {_MOST_PHOTOS:,} rows")
        photos.setdefault(row["activity_id"], []).append(f"photos/{row['file']}")
    details: dict[str, dict[str, str]] = {}  # that were read and are not of a row so far
    by_id = _table_of(archive, "activity_details.csv", stack)
    for found in rows:
        if isinstance(found, Found) and found.own_id:
            while found.own_id not in details and (detail := next(by_id, None)):
                details[detail["activity_id"]] = detail
                if len(details) > _MOST_DETAILS:
                    raise Permanent("activity_details.csv has another order than activities.csv")
            values = _detailed(found.values, details.pop(found.own_id, {}))
            found = replace(found, values=values, photos=tuple(photos.get(found.own_id, ())))
        yield found


class _Details(msgspec.Struct):
    title: Title = ""
    source: SourceName = ""
    calories: Calories = None
    moving_minutes: MovingMinutes = None
    utc_offset: Annotated[int, Meta(ge=-1440, le=1440)] | None = None


def _detailed(values: Values, detail: dict[str, str]) -> Values:
    """What the table itself said stays; what does not read like ours is left out."""
    said = {name: one_line(unescape_formula(text)) for name, text in detail.items() if text}
    try:
        found = msgspec.to_builtins(msgspec.convert(said, _Details, strict=False))
    except msgspec.ValidationError:
        return values
    return replace(values, **{name: getattr(values, name) or found[name] for name in found})


def _table_of(archive: zipfile.ZipFile, name: str, stack: ExitStack) -> Iterator[dict[str, str]]:
    try:
        entry = _entry(archive, name)
    except KeyError:
        return
    with _zip_errors():
        file = stack.enter_context(archive.open(entry))
        lines = csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""))
        header = next(lines, [])
        if not _COLUMNS[name] <= set(header):
            raise Permanent(f"{name} has no columns {', '.join(sorted(_COLUMNS[name]))}")
        for cells in lines:
            if len(cells) == len(header):
                yield dict(zip(header, cells, strict=True))


def _entry(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Beside the table, whichever folder that is in. Raises KeyError."""
    table = _activities(archive)
    folder = table.filename.rpartition("/")[0] if table else ""
    return archive.getinfo(f"{folder}/{name}" if folder else name)


def _own_rows(table: Table, reader: Reader, now: datetime) -> Iterator[Found | Refused]:
    for row in table.rows():
        if isinstance(row, Refused):
            yield row
            continue
        try:
            values = _clean(_own_fields(reader, row))
            if source := one_line(reader.text(row, "source"))[:LONGEST_SOURCE]:
                values = replace(values, source=source)
            doubts = tuple(_odd_time(values.activity_date, now))
            yield Found(row.line, values, doubts, own_id=reader.text(row, "id"))
        except AppError as error:
            yield Refused(row.line, str(error), row.says)


def _own_fields(reader: Reader, row: Row) -> dict[str, Any]:
    """As an export writes them, or as a spreadsheet saved them again."""
    text = {name: unescape_formula(reader.text(row, name)) for name in reader.layout.columns.places}
    fields: dict[str, Any] = {
        "activity_type": text["type"],
        "duration_minutes": text["duration"],
        "activity_date": text["date"],
    }
    with suppress(AppError):  # what we cannot read is refused as what the API cannot read
        if "T" not in text["date"]:
            fields["activity_date"] = reader.dates.read(text["date"])
    if distance := text.get("distance"):
        has_comma = reader.commas.get("distance")
        fields["distance_km"] = distance.replace(",", ".") if has_comma else distance
    for name in ("notes", "calories", "title"):
        if text.get(name):
            fields[name] = text[name]
    if text.get("moving"):
        fields["moving_minutes"] = text["moving"]
    if text.get("start"):  # the same moment, with the offset of its place
        fields["activity_date"] = _at_place(text["start"], fields["activity_date"])
    if text.get("tags"):
        fields["tags"] = text["tags"].split(",")
    return fields


def _at_place(text: str, moment: str | datetime) -> str | datetime:
    """`+00:00` is of a place, as any other offset. What cannot be read is left as it is. Raises
    AppError when it is not the moment of the other column: one of them was mended."""
    with suppress(ValueError, TypeError):
        start = datetime.fromisoformat(text)
        other = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        if abs(start - other) > timedelta(minutes=1):
            raise AppError.invalid("start_local", "is another moment than activity_date")
        if start.utcoffset() == timedelta(0):
            return start.replace(tzinfo=clocks_of(0))
    return text


def _clean(fields: dict[str, Any]) -> Values:
    """A moving time that is longer than the whole is none."""
    try:
        values = clean(msgspec.convert(fields, NewActivity, strict=False))
        is_odd = (values.moving_minutes or 0) > values.duration_minutes
        return replace(values, moving_minutes=None) if is_odd else values
    except msgspec.ValidationError as error:
        raise AppError("invalid row", http.explain(error).message) from None
    except (ValueError, OverflowError):
        raise AppError("invalid row", "has a value that cannot be read") from None


def _archive(file: BinaryIO) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):
        raise Permanent("the ZIP is damaged") from None
    if len(archive.infolist()) > _MOST_ENTRIES:
        raise Permanent(f"the ZIP has more than {_MOST_ENTRIES:,} files")
    return archive


def _zip_kind(archive: zipfile.ZipFile) -> str:
    if _activities(archive):
        return "archive"
    if any(tracks.reader_of(entry.filename) for entry in archive.infolist()):
        return "tracks"
    raise Permanent("the ZIP holds neither activities.csv nor GPX, TCX or FIT files")


def _activities(archive: zipfile.ZipFile) -> zipfile.ZipInfo | None:
    """The table of an archive of Strava's, or of ours."""
    names = [entry for entry in archive.infolist()
             if entry.filename.rpartition("/")[2].lower() in _TABLES]  # fmt: skip
    return min(names, key=lambda entry: entry.filename.count("/"), default=None)


@contextmanager
def _open_archive(archive: zipfile.ZipFile, choices: Choices, now: datetime) -> Iterator[Source]:
    entry = _activities(archive)
    if entry is None:
        _zip_kind(archive)
        file: Any = archive.fp
        rows = _values(_all_tracks(archive), choices, now)
        yield Source("tracks", file, rows, remarks=tuple(_left_out(archive)))
        return
    with tempfile.TemporaryFile(prefix="activelog-") as table:
        _unpack(archive, entry, table)
        source = replace(_open_table(table, choices, now), archive=archive)
        if source.name != "activelog":
            yield source
            return
        with ExitStack() as stack:
            yield replace(source, rows=_with_details(source.rows, archive, stack))


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Any) -> None:
    size = 0
    with _zip_errors(), archive.open(entry) as packed:
        while chunk := packed.read(_CHUNK):
            size += len(chunk)
            if size > LONGEST_FILE:
                raise Permanent(f"{entry.filename} is too long")
            target.write(chunk)
    target.seek(0)


def _left_out(archive: zipfile.ZipFile) -> Iterator[str]:
    """Other files beside tracks."""
    names = [entry.filename[:60] for entry in archive.infolist()
             if not (entry.is_dir() or tracks.reader_of(entry.filename)
                     or entry.filename.rpartition("/")[2].startswith("."))]  # fmt: skip
    if names:
        more = f" and {counted(len(names) - _NAMED, 'others')}" if len(names) > _NAMED else ""
        yield f"only tracks of the ZIP were read, not {', '.join(names[:_NAMED])}{more}"


def _all_tracks(archive: zipfile.ZipFile) -> Iterator[Draft | Refused]:
    number, size = 0, 0
    for entry in archive.infolist():
        name = entry.filename.rpartition("/")[2]
        if not tracks.reader_of(name) or name.startswith("._"):  # what a Mac adds
            continue
        size += entry.file_size
        if size > LONGEST_FILE:
            raise Permanent("the ZIP's files are too long")
        try:
            with _zip_errors(), archive.open(entry) as file:
                for found in tracks.read_named(entry.filename, file):  # type: ignore[arg-type]
                    number += 1
                    yield _numbered(found, number, entry.filename)
        except Permanent as error:
            number += 1
            yield Refused(number, str(error), entry.filename)


def _numbered(found: Draft | Refused, number: int, name: str) -> Draft | Refused:
    if isinstance(found, Refused):
        return replace(found, line=number, says=name)
    return replace(found, line=number)


def _zip_errors() -> AbstractContextManager[None]:
    return refused(
        "a file of the ZIP is damaged or locked",
        zipfile.BadZipFile, zlib.error, csv.Error, EOFError, NotImplementedError, RuntimeError,
        OSError, ValueError,
    )  # fmt: skip
