"""An A4 page in ActiveLog's colours, with text at exact places."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.line_break import Fragment

from activelog.report.pdf import fonts
from activelog.report.pdf.whole_font import Producer, add_whole_font

PAGE_WIDTH, PAGE_HEIGHT, MARGIN = 210.0, 297.0, 16.0
WIDTH = PAGE_WIDTH - 2 * MARGIN

Colour = tuple[int, int, int]
Align = Literal["left", "right", "center"]
Style = tuple[Literal["", "B"], float, Colour]  # weight, size in points

INK: Colour = (15, 23, 42)
TEXT: Colour = (51, 65, 85)
QUIET: Colour = (100, 116, 139)
RULE: Colour = (219, 227, 236)
PALE: Colour = (244, 247, 250)
BRAND: Colour = (15, 118, 110)
ACCENT: Colour = (249, 115, 22)
PAST: Colour = (148, 163, 184)
SERIES: tuple[Colour, ...] = (
    BRAND, ACCENT, (37, 99, 235), (202, 138, 4), (147, 51, 234), (219, 39, 119), PAST,
)  # fmt: skip

_POINT = 72 / 25.4  # points in a millimetre
_LONGEST_LINE = 400  # letters that are looked at: more fit on no line of a page


class Canvas(FPDF):
    """Millimetres from the top left corner; `y` of a text is its baseline."""

    def __init__(self, texts: Sequence[str], more_fonts: Sequence[str]) -> None:
        super().__init__(unit="mm", format="A4")
        self.set_auto_page_break(False)
        self.set_margin(0)
        self.c_margin = 0
        regular, bold = fonts.smallest(texts)
        add_whole_font(self, "latin", "", regular)
        add_whole_font(self, "latin", "B", bold)
        self._last_fallback: str | None = None
        self._loaded: list[Path] = fonts.needed(texts, more_fonts)
        for number, path in enumerate(self._loaded):
            self.add_font(f"fallback{number}", "", path)
        # A bold text borrows its foreign letters from the regular weight.
        names = [f"fallback{number}" for number in range(len(self._loaded))]
        self.set_fallback_fonts(names, exact_match=False)
        self.style("", 9, TEXT)

    def get_fallback_font(self, char: str, style: str = "") -> str | None:
        """A joiner is drawn by the font of the letter before it."""
        if char not in fonts.JOINERS:
            self._last_fallback = super().get_fallback_font(char, style)
        return self._last_fallback

    def _preload_bidirectional_text(self, text: str, markdown: bool) -> Sequence[Fragment]:
        """The engine begins a new piece at each joiner and accent, which then join nothing. One
        that is left alone, where the direction changes, has no shape that it could draw."""
        pieces: list[Fragment] = []
        for piece in super()._preload_bidirectional_text(text, markdown):
            if pieces and _belong_together(pieces[-1], piece):
                pieces[-1].characters += piece.characters
            else:
                pieces.append(piece)
        return tuple(piece for piece in pieces if piece.string.strip(fonts.JOINERS))

    def to_bytes(self) -> bytes:
        return bytes(self.output(output_producer_class=Producer))

    def style(self, weight: Literal["", "B"], size: float, colour: Colour) -> None:
        self.set_font("latin", weight, size)
        self.set_text_color(*colour)
        self.set_fill_color(*colour)  # text in the fill colour needs no saved state

    def return_to(self, page: int) -> None:
        """Draws on a page that was left: its font and colours have to be said anew."""
        self.page = page
        self.current_font_is_set_on_page = False
        self.fill_color = self.draw_color = None
        self.line_width = 0

    def put(
        self, x: float, y: float, text: str, align: Align = "left", width: float | None = None
    ) -> None:
        """One line in the current style, cut with an ellipsis where it is wider than `width`;
        `x` is where its `align` is."""
        if not fonts.is_latin(text):
            self._put_foreign(x, y, text, align, width)
            return
        if width is not None:
            text = self._fit(text, width, self.width_of)
        if align != "left":
            taken = self.width_of(text)
            x -= taken if align == "right" else taken / 2
        self.text(x, y, text)

    def put_figure(
        self, x: float, y: float, text: str, width: float, style: Style, align: Align = "left"
    ) -> None:
        """One line that is not cut but set smaller: a figure without its end is another one."""
        weight, size, colour = style
        self.style(weight, size, colour)
        taken = self.width_of(text)
        if taken > width:
            self.style(weight, size * width / taken, colour)
        self.put(x, y, text, align)

    def width_of(self, text: str) -> float:
        """Of Latin text, in millimetres; the engine's own way is ten times slower."""
        assert self.current_font is not None
        widths: dict[int, float] = self.current_font.cw  # type: ignore[assignment]
        units = sum([widths[ord(letter)] for letter in text])
        return units * self.font_size_pt / 1000 / _POINT

    def _fit(self, text: str, width: float, width_of: Callable[[str], float]) -> str:
        """The longest beginning of it that fits, with an ellipsis if something is missing."""
        text, whole = text[:_LONGEST_LINE], len(text) <= _LONGEST_LINE
        if whole and width_of(text) <= width:
            return text
        room = width - width_of("…")
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if width_of(text[:middle]) <= room:
                low = middle
            else:
                high = middle - 1
        return text[:low].rstrip() + "…"

    def _put_foreign(
        self, x: float, y: float, text: str, align: Align, width: float | None
    ) -> None:
        """With other fonts, joined letters and text from right to left: some ten times slower."""
        text = fonts.substitute(text, self._loaded)
        self.set_text_shaping(True)
        try:
            if width is not None:
                text = self._fit(text, width, self.get_string_width)
            taken = self.get_string_width(text)
            x -= {"left": 0.0, "right": taken, "center": taken / 2}[align]
            # cell() centres a line in its height; this puts the baseline at y.
            self.set_xy(x, y - 0.8 * self.font_size)
            self.cell(taken, self.font_size, text, new_x=XPos.RIGHT, new_y=YPos.TOP)
        finally:
            self.set_text_shaping(False)

    def box(
        self, x: float, y: float, width: float, height: float, colour: Colour, radius: float = 0
    ) -> None:
        self.set_fill_color(*colour)
        if radius and min(width, height) > 2 * radius:
            self.rect(x, y, width, height, "F", round_corners=True, corner_radius=radius)
        else:
            self.rect(x, y, width, height, "F")

    def rule(self, x: float, y: float, width: float, colour: Colour = RULE) -> None:
        self.set_draw_color(*colour)
        self.set_line_width(0.2)
        self.line(x, y, x + width, y)


def _belong_together(one: Fragment, other: Fragment) -> bool:
    return one.font is other.font and one.fragment_direction is other.fragment_direction
