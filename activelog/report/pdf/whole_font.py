"""Fonts that go into a PDF as they are.

fpdf2 reads, cuts and compresses every font anew for each document, which used to be four fifths of
a report's time. The fonts that draw nearly all of the text are small enough to be embedded whole:
a process reads and compresses them once, and a letter's code is its glyph's number.

This reaches into private places of fpdf2, so it is used with the version that it was tested with;
with any other one fpdf2 embeds these fonts its own way, slower and with the same look.
"""

import copy
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from fpdf import FPDF, FPDF_VERSION
from fpdf.fonts import Glyph, SubsetMap, TTFFont
from fpdf.output import CIDSystemInfo, OutputProducer, PDFFont
from fpdf.syntax import Name, PDFArray, PDFContentStream

TESTED_VERSION = "2.8.9"  # tests/test_private_names.py says what to look at for the next one


class WholeFont(TTFFont):
    """`i` is its number in the document that it was copied for."""

    def __init__(self, path: Path, key: str) -> None:
        super().__init__(FPDF(), path, key, style="")
        self.subset = _GlyphNumbers(self)
        data = path.read_bytes()
        self.file_size = len(data)
        self.file = zlib.compress(data)
        self.to_unicode = zlib.compress(_to_unicode(self.glyph_ids))
        widths = self.ttfont["hmtx"].metrics
        order = self.ttfont.getGlyphOrder()
        self.widths = f"[0 [{' '.join(str(round(self.scale * widths[g][0])) for g in order)}]]"

    def encode_text(self, text: str) -> str:
        return f"({self.escape_text(text.translate(self.glyph_ids))}) Tj"


class _GlyphNumbers(SubsetMap):
    """Of all glyphs, so that nothing has to be remembered."""

    def pick_glyph(self, glyph: Glyph | None) -> int | None:
        return None if glyph is None else glyph.glyph_id


def add_whole_font(document: FPDF, family: str, style: Literal["", "B"], path: Path) -> None:
    if FPDF_VERSION != TESTED_VERSION:
        document.add_font(family, style, path)
        return
    key = family + style
    font = copy.copy(_read(path, key))
    font.i = len(document.fonts) + 1
    document.fonts[key] = font


_read = cache(WholeFont)


class Producer(OutputProducer):
    """Writes whole fonts by itself and leaves the others to fpdf2."""

    def _add_fonts(self, *resources: Any) -> dict[int, Any]:
        fonts = self.fpdf.fonts
        whole = [font for font in fonts.values() if isinstance(font, WholeFont)]
        for font in whole:
            del fonts[font.fontkey]
        added: dict[int, Any] = super()._add_fonts(*resources)
        for font in whole:
            added[font.i] = self._add_whole(font)
        return added

    def _add_whole(self, font: WholeFont) -> PDFFont:
        letters = PDFFont("Type0", font.name, "Identity-H")
        glyphs = PDFFont("CIDFontType2", font.name, None, font.desc.missing_width, font.widths)
        descriptor = copy.copy(font.desc)
        descriptor.font_name = Name(font.name)
        system = CIDSystemInfo()
        file, to_unicode = _compressed(font.file), _compressed(font.to_unicode)
        file.length1 = font.file_size  # type: ignore[attr-defined]
        for part in (letters, glyphs, descriptor, system, file, to_unicode):
            self._add_pdf_obj(part, "fonts")
        letters.descendant_fonts = PDFArray([glyphs])
        letters.to_unicode = to_unicode
        glyphs.c_i_d_system_info = system
        glyphs.font_descriptor = descriptor
        descriptor.font_file2 = file  # type: ignore[attr-defined]
        return letters


def _compressed(data: bytes) -> PDFContentStream:
    stream = PDFContentStream(data)
    stream.filter = Name("FlateDecode")
    return stream


def _to_unicode(glyphs: dict[int, int]) -> bytes:
    """By which a reader searches and copies text."""
    lines = [f"<{number:04X}> <{letter:04X}>" for letter, number in glyphs.items()]
    return "\n".join(_cmap(lines)).encode()


def _cmap(lines: list[str]) -> Iterator[str]:
    yield "/CIDInit /ProcSet findresource begin 12 dict begin begincmap"
    yield "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def"
    yield "/CMapName /Adobe-Identity-UCS def /CMapType 2 def"
    yield "1 begincodespacerange <0000> <FFFF> endcodespacerange"
    for first in range(0, len(lines), 100):  # a block has a hundred at most
        block = lines[first : first + 100]
        yield from (f"{len(block)} beginbfchar", *block, "endbfchar")
    yield "endcmap CMapName currentdict /CMap defineresource pop end end"
