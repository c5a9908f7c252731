"""Recorded tracks: GPX and TCX by expat, which is told to refuse entities; FIT by fitdecode, an
extra. All of them as streams, however long a track is."""

import codecs
import gzip
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO
from xml.parsers import expat

from activelog.base.errors import AppError, Permanent
from activelog.imports.cells import one_line
from activelog.imports.dates import DateReader
from activelog.imports.kinds import activity_kind
from activelog.imports.model import Draft, Refused
from activelog.imports.table import packed_errors

LONGEST_TRACK = 200 * 1024**2  # bytes, unpacked
_LONGEST_FIT = 20 * 1024**2  # it says in a byte what others say in ten
_MOST = 1e9  # of anything: seconds, metres, calories
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHUNK = 1 << 16
_LONGEST_TEXT = 20_000  # characters of an element
_DEEPEST = 50
_EARTH = 6_371_008.8  # metres
_STANDING = 0.3  # metres a second: slower than that nobody moves
_JUMP = 350  # metres a second between two points: a broken fix
# Strava's GPX of before 2024 has numbers for types.
_GPX_TYPES = {"1": "ride", "4": "hike", "9": "running", "10": "walk", "17": "ride"}
_DATES = DateReader("ymd", frozenset())


def read_gpx(file: BinaryIO) -> Iterator[Draft | Refused]:
    """A Draft for each track. Its distance is what was walked inside of its segments."""
    handler = _Gpx()
    yield from _parse(file, handler, handler.found)
    if not handler.count:
        yield Refused(1, "has no track: it is a route or a list of places, and no activity")


def read_tcx(file: BinaryIO) -> Iterator[Draft | Refused]:
    """A Draft for each activity, from its laps."""
    handler = _Tcx()
    yield from _parse(file, handler, handler.found)
    if not handler.count:
        yield Refused(1, "has no activity: it is a course or a workout plan")


class _Handler:
    """Elements by their local names; `texts` are those of the elements that are open."""

    def __init__(self) -> None:
        self.found: list[Draft | Refused] = []
        self.count = 0
        self.path: list[str] = []
        self.texts: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.path) > _DEEPEST:
            raise Permanent("the file is no track: its elements are nested too deeply")
        self.path.append(name.rpartition(" ")[2])
        self.texts.append("")
        self.opened(self.path[-1], attributes)

    def text(self, text: str) -> None:
        if self.texts and len(self.texts[-1]) < _LONGEST_TEXT:
            self.texts[-1] += text

    def end(self, _: str) -> None:
        text = self.texts.pop().strip()
        self.closed(self.path[-1], text)
        self.path.pop()

    @property
    def parent(self) -> str:
        return self.path[-2] if len(self.path) > 1 else ""

    def opened(self, name: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError

    def closed(self, name: str, text: str) -> None:
        raise NotImplementedError


@dataclass
class _Track:
    title: str = ""
    kind: str = ""
    notes: str = ""
    first: datetime | None = None
    last: datetime | None = None
    metres: float = 0
    moving: float = 0  # seconds
    jumps: int = 0
    points: int = 0


class _Gpx(_Handler):
    def __init__(self) -> None:
        super().__init__()
        self.track = _Track()
        self.point: tuple[float, float] | None = None
        self.time: datetime | None = None
        self.before: tuple[tuple[float, float], datetime | None] | None = None

    def opened(self, name: str, attributes: dict[str, str]) -> None:
        if name == "trk":
            self.track = _Track()
        elif name == "trkseg":
            self.before = None
        elif name == "trkpt":
            self.point, self.time = _place(attributes), None

    def closed(self, name: str, text: str) -> None:
        if name == "time" and self.parent == "trkpt":
            self.time = _moment(text)
        elif name == "trkpt":
            self._add_point()
        elif self.parent == "trk" and name in ("name", "type", "desc", "cmt"):
            setattr(self.track, {"name": "title", "type": "kind"}.get(name, "notes"), text)
        elif name == "trk":
            self.count += 1
            self.found.append(_gpx_draft(self.count, self.track))

    def _add_point(self) -> None:
        track = self.track
        track.points += 1
        if self.time:
            track.first = min(track.first or self.time, self.time)
            track.last = max(track.last or self.time, self.time)
        if self.point is None:
            return
        if self.before:
            place, then = self.before
            if self.time and then and self.time < then:
                return  # out of order
            metres = _metres(place, self.point)
            seconds = abs((self.time - then).total_seconds()) if self.time and then else None
            if metres > _JUMP * max(seconds or 1, 1) and metres > 1000:
                track.jumps += 1
                if self.point == (0.0, 0.0):  # what a receiver without a fix writes
                    return
            else:
                track.metres += metres
                if seconds and metres > _STANDING * seconds:
                    track.moving += seconds
        self.before = self.point, self.time


def _gpx_draft(number: int, track: _Track) -> Draft | Refused:
    if track.first is None or track.last is None:
        why = "has points without times: it is a route, no activity" if track.points else "is empty"
        return Refused(number, f"the track {why}", track.title)
    doubts = (f"{track.jumps} jumps between points were not counted",) if track.jumps else ()
    kind = activity_kind(_GPX_TYPES.get(track.kind, track.kind.replace("_", " ")))
    seconds = (track.last - track.first).total_seconds() or None
    return Draft(number, kind, track.first, seconds, track.metres, track.title, track.notes,
                 doubts=doubts, moving=track.moving or None)  # fmt: skip


@dataclass
class _Lap:
    start: datetime | None = None
    seconds: float = 0
    metres: float | None = None
    calories: float = 0
    points: list[float] = field(default_factory=list)  # the least and the greatest distance
    first: datetime | None = None
    last: datetime | None = None

    @property
    def way(self) -> float:
        if self.metres:
            return self.metres
        return self.points[1] - self.points[0] if self.points else 0


class _Tcx(_Handler):
    def __init__(self) -> None:
        super().__init__()
        self.sport = self.id = self.notes = ""
        self.lap: _Lap | None = None
        self.totals = _Lap()

    def opened(self, name: str, attributes: dict[str, str]) -> None:
        if name == "Activity":
            self.sport, self.id, self.notes, self.totals = (
                attributes.get("Sport", ""),
                "",
                "",
                _Lap(),
            )
        elif name == "Lap":
            self.lap = _Lap(_moment(attributes.get("StartTime", "")))

    def closed(self, name: str, text: str) -> None:
        if self.lap is not None:
            self._close_in_lap(self.lap, name, text)
        elif name == "Id" and self.parent == "Activity":
            self.id = text
        elif name == "Notes" and self.parent == "Activity":
            self.notes = text
        elif name == "Activity":
            self.count += 1
            self.found.append(self._draft())

    def _close_in_lap(self, lap: _Lap, name: str, text: str) -> None:
        if self.parent == "Lap" and name in ("TotalTimeSeconds", "DistanceMeters", "Calories"):
            value = _float(text)
            if value is not None:
                setattr(lap, {"TotalTimeSeconds": "seconds", "DistanceMeters": "metres"}.get(
                    name, "calories"), value)  # fmt: skip
        elif self.parent == "Trackpoint" and name == "DistanceMeters":
            if (value := _float(text)) is not None:
                least, most = lap.points or (value, value)
                lap.points = [min(least, value), max(most, value)]
        elif self.parent == "Trackpoint" and name == "Time":
            time = _moment(text)
            lap.first, lap.last = lap.first or time, time or lap.last
        elif name == "Lap":
            self._close_lap(lap)

    def _close_lap(self, lap: _Lap) -> None:
        total = self.totals
        if not lap.seconds and lap.first and lap.last:
            lap.seconds = (lap.last - lap.first).total_seconds()
        total.start = total.start or lap.start or lap.first
        total.seconds += lap.seconds
        total.metres = (total.metres or 0) + lap.way
        total.calories += lap.calories
        self.lap = None

    def _draft(self) -> Draft | Refused:
        start = self.totals.start or _moment(self.id)
        if start is None:
            return Refused(self.count, "the activity has no time", self.sport)
        return Draft(
            self.count, activity_kind(self.sport), start, self.totals.seconds or None,
            self.totals.metres,
            notes=self.notes, calories=round(self.totals.calories) or None,
        )  # fmt: skip


def _parse(
    file: BinaryIO, handler: _Handler, found: list[Draft | Refused]
) -> Iterator[Draft | Refused]:
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    parser.EntityDeclHandler = _refuse_entities
    parser.buffer_text = True
    is_first, is_wide = True, False
    try:
        for chunk in _chunks(file):
            # Strava writes ten spaces before the declaration, some watches NUL bytes.
            is_wide = is_wide or (is_first and chunk.startswith(_UTF_16))
            cleaned = chunk if is_wide else chunk.replace(b"\0", b"")
            if is_first:
                cleaned = cleaned.lstrip()
                is_first = not cleaned
            parser.Parse(cleaned, False)
            yield from found
            found.clear()
        parser.Parse(b"", True)
    except (LookupError, ValueError):
        raise Permanent(
            "the file names an encoding that we do not read: save it as UTF-8"
        ) from None
    except expat.ExpatError as error:
        where = f"line {error.lineno}"
        yield from found
        found.clear()
        if not handler.count:
            raise Permanent(f"the file is no XML that we can read ({where})") from None
        yield Refused(error.lineno, "the file is cut off or broken here")
    yield from found


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    size = 0
    while chunk := _read(file, _CHUNK):
        size += len(chunk)
        if size > LONGEST_TRACK:
            raise Permanent("the track is too long")
        yield chunk


def _read(file: BinaryIO, most: int) -> bytes:
    with packed_errors():
        return file.read(most)


def _refuse_entities(*_: object) -> None:
    raise Permanent("the file defines entities, which no tracker does")


def _place(attributes: dict[str, str]) -> tuple[float, float] | None:
    latitude, longitude = _float(attributes.get("lat", "")), _float(attributes.get("lon", ""))
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 360:
        return None
    return latitude, longitude


def _metres(a: tuple[float, float], b: tuple[float, float]) -> float:
    """On a sphere, by haversines."""
    (north, east), (to_north, to_east) = map(_radians, (a, b))
    half = math.sin((to_north - north) / 2) ** 2
    half += math.cos(north) * math.cos(to_north) * math.sin((to_east - east) / 2) ** 2
    return 2 * _EARTH * math.asin(math.sqrt(min(half, 1)))


def _radians(place: tuple[float, float]) -> tuple[float, float]:
    return math.radians(place[0]), math.radians(place[1])


def _moment(text: str) -> datetime | None:
    with suppress(AppError, ValueError, OverflowError):
        return _DATES.read(text.strip()).astimezone(UTC)
    return None


def _float(text: str) -> float | None:
    with suppress(ValueError):
        return _measure(float(text.strip().replace(",", ".")))
    return None


def _measure(value: object) -> float | None:
    """A number of something, if it is one that can be."""
    if isinstance(value, int | float) and math.isfinite(value) and abs(value) < _MOST:
        return float(value)
    return None


def read_fit(file: BinaryIO) -> Iterator[Draft | Refused]:
    """A Draft for each session; a triathlon has several. Raises Permanent without the extra."""
    try:
        import fitdecode
    except ImportError:
        raise Permanent(
            "FIT files need a package that is not installed here: pip install 'activelog[fit]'"
        ) from None
    count, is_activity = 0, True
    data = _read(file, _LONGEST_FIT + 1)
    if len(data) > _LONGEST_FIT:
        raise Permanent(f"the FIT file has more than {_LONGEST_FIT:,} bytes")
    try:
        with fitdecode.FitReader(data, check_crc=fitdecode.CrcCheck.DISABLED) as frames:
            for frame in frames:
                if not isinstance(frame, fitdecode.FitDataMessage):
                    continue
                if frame.name == "file_id":
                    is_activity = _fit(frame, "type") in ("activity", None)
                if frame.name == "session" and is_activity:
                    count += 1
                    yield _fit_draft(count, frame)
    except Exception:  # what a damaged file makes it raise is not documented
        if not count:
            raise Permanent("the file is no FIT file that we can read") from None
    if not count:
        yield Refused(1, "has no session: it is a course, a plan or a day's monitoring")


def _fit(frame: Any, name: str) -> Any:
    return frame.get_value(name, fallback=None)


def _fit_draft(number: int, frame: Any) -> Draft | Refused:
    start = _fit(frame, "start_time")
    if not isinstance(start, datetime):
        return Refused(number, "the session has no start")
    sport = one_line(str(_fit(frame, "sport") or "")).replace("_", " ")
    elapsed, timer, metres, calories = (
        _measure(_fit(frame, f"total_{name}"))
        for name in ("elapsed_time", "timer_time", "distance", "calories")
    )
    return Draft(number, activity_kind(sport), start, elapsed or timer, metres,
                 calories=None if calories is None else round(calories))  # fmt: skip


READERS: dict[str, Callable[[BinaryIO], Iterator[Draft | Refused]]] = {
    ".gpx": read_gpx,
    ".tcx": read_tcx,
    ".fit": read_fit,
}


def reader_of(name: str) -> Callable[[BinaryIO], Iterator[Draft | Refused]] | None:
    """By a file's name, `x.gpx` or `x.gpx.gz`."""
    plain = name.lower().removesuffix(".gz")
    return next((read for ending, read in READERS.items() if plain.endswith(ending)), None)


def read_named(name: str, file: BinaryIO) -> Iterator[Draft | Refused]:
    read = reader_of(name)
    assert read is not None
    yield from read(gzip.GzipFile(fileobj=file) if name.lower().endswith(".gz") else file)  # type: ignore[arg-type]
