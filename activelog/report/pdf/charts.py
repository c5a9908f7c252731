"""Charts drawn with lines and boxes, so they print sharply and weigh little."""

import math
from collections.abc import Sequence

from activelog.report.pdf.canvas import (
    ACCENT,
    BRAND,
    INK,
    PALE,
    PAST,
    QUIET,
    RULE,
    SERIES,
    TEXT,
    Canvas,
)
from activelog.report.pdf.document import Bars, Lines, Shares

HEIGHT = 52.0  # mm of bars and lines, title and labels included
_TITLE, _LABELS, _SCALE = 9.0, 6.0, 11.0  # mm: above, below, left
_MOST_LABELS = 16
_MOST_SHARES = 7
_SHARE_ROW = 6.4


def draw_bars(canvas: Canvas, x: float, y: float, width: float, bars: Bars) -> None:
    with canvas._marked_sequence(
        alt_text=_describe(bars.title, bars.labels, bars.values, bars.unit)
    ):
        top = _axes(canvas, x, y, width, f"{bars.title}, {bars.unit}", bars.values)
        left, bottom, plot = _plot(x, y, width)
        step = plot / max(1, len(bars.values))
        for number, value in enumerate(bars.values):
            height = value / top * (HEIGHT - _TITLE - _LABELS)
            if height:
                canvas.box(left + step * (number + 0.14), bottom - height, step * 0.72, height,
                           BRAND)  # fmt: skip
        _labels(canvas, left + step / 2, x + width, bottom, step, bars.labels)


def draw_lines(canvas: Canvas, x: float, y: float, width: float, lines: Lines) -> None:
    alt = _describe(lines.title, lines.labels, lines.values, lines.unit)
    with canvas._marked_sequence(alt_text=alt):
        values = [*lines.values, *lines.before]
        top = _axes(canvas, x, y, width, f"{lines.title}, {lines.unit}", values)
        left, bottom, plot = _plot(x, y, width)
        step = plot / max(1, len(lines.labels) - 1, len(lines.before) - 1)
        for series, colour, thickness in ((lines.before, PAST, 0.4), (lines.values, ACCENT, 0.8)):
            scale = (HEIGHT - _TITLE - _LABELS) / top
            points = [
                (left + step * number, bottom - value * scale)
                for number, value in enumerate(series)
            ]
            canvas.set_draw_color(*colour)
            canvas.set_line_width(thickness)
            if len(points) > 1:
                canvas.polyline(points)
            elif points:
                canvas.circle(*points[0], radius=0.8)
        _labels(canvas, left, x + width, bottom, step, lines.labels)
        _legend(canvas, x + width, y + 3.2, lines.names)


def shares_height(shares: Shares) -> float:
    return _TITLE + _SHARE_ROW * min(len(shares.rows), _MOST_SHARES)


def draw_shares(canvas: Canvas, x: float, y: float, width: float, shares: Shares) -> None:
    rows = shares.rows[:_MOST_SHARES]
    top = max((row.value for row in rows), default=0) or 1
    alt = f"{shares.title}: " + "; ".join(f"{row.label} {row.text}" for row in rows)
    with canvas._marked_sequence(alt_text=alt):
        canvas.style("B", 9, INK)
        canvas.put(x, y + 3.2, shares.title)
        for number, row in enumerate(rows):
            middle = y + _TITLE + _SHARE_ROW * number + 2.2
            bar = (width - 88) * row.value / top
            canvas.box(x + 38, middle - 1.7, width - 88, 3.4, PALE)
            canvas.box(x + 38, middle - 1.7, max(bar, 0.4), 3.4, SERIES[number % len(SERIES)])
            canvas.style("", 8.5, TEXT)
            canvas.put(x, middle + 1.1, row.label, width=36)
            canvas.put_figure(x + width, middle + 1.1, row.text, 47, ("", 8.5, QUIET), "right")


def _plot(x: float, y: float, width: float) -> tuple[float, float, float]:
    """Left edge, bottom and width of what is inside the axes."""
    return x + _SCALE, y + HEIGHT - _LABELS, width - _SCALE


def _axes(
    canvas: Canvas, x: float, y: float, width: float, title: str, values: Sequence[float]
) -> float:
    """Title, grid and scale; returns the value at the top."""
    canvas.style("B", 9, INK)
    canvas.put(x, y + 3.2, title, width=width * 0.6)
    step = _round_step(max(values, default=0))
    left, bottom, plot = _plot(x, y, width)
    height = HEIGHT - _TITLE - _LABELS
    canvas.style("", 7, QUIET)
    for line in range(5):
        at = bottom - height * line / 4
        canvas.rule(left, at, plot, RULE)
        canvas.put(left - 2, at + 0.9, f"{step * line:,.10g}", "right")
    return step * 4


def _round_step(largest: float) -> float:
    """A round number whose fourfold is at least `largest`."""
    if largest <= 0:
        return 1
    rough = largest / 4
    magnitude = 10 ** math.floor(math.log10(rough))
    return float(next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * 0.9999))


def _labels(
    canvas: Canvas, x: float, right: float, bottom: float, step: float, labels: Sequence[str]
) -> None:
    """Each under its place, the last one where it ends at `right`."""
    every = max(1, math.ceil(len(labels) / _MOST_LABELS))
    canvas.style("", 7, QUIET)
    for number in range(0, len(labels), every):
        middle = min(x + step * number, right - canvas.width_of(labels[number]) / 2)
        canvas.put(middle, bottom + 3.8, labels[number], "center")


def _legend(canvas: Canvas, right: float, y: float, names: tuple[str, str]) -> None:
    canvas.style("", 7.5, QUIET)
    for name, colour in zip(reversed(names), (PAST, ACCENT), strict=True):
        right -= canvas.width_of(name) if name.isascii() else canvas.get_string_width(name)
        canvas.style("", 7.5, QUIET)
        canvas.put(right, y, name)
        canvas.box(right - 5, y - 1.2, 3.5, 0.9, colour)
        right -= 9


def _describe(title: str, labels: Sequence[str], values: Sequence[float], unit: str) -> str:
    """What somebody who does not see the chart has of it."""
    if not any(values):
        return f"{title}: nothing"
    largest = max(range(len(values)), key=values.__getitem__)
    return (
        f"{title}: {len(values)} values, the largest {values[largest]:,.10g} {unit}"
        f" at {labels[largest]}"
    )
