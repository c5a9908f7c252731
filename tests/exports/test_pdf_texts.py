"""Whatever people write can be drawn, and what belongs together is drawn together."""

import io
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from activelog.report.pdf.canvas import Canvas

RUNNER, FAMILY, THUMB = "🏃‍♀️", "👨‍👩‍👧‍👦", "👍🏽"
JOINERS = "\u200c\u200d\ufe0f\u0301\u20e3\U0001f3fd"


def canvas(*texts: str) -> Canvas:
    page = Canvas(texts, [])
    page.add_page()
    return page


def drawn(*texts: str) -> str:
    page = canvas(*texts)
    for place, text in enumerate(texts):
        page.put(20, 20 + place % 50, text)
        page.put(20, 20 + place % 50, text, "right", 40)
    return PdfReader(io.BytesIO(page.to_bytes())).pages[0].extract_text()


def width(text: str) -> float:
    page = canvas(text)
    page.put(0, 20, text)
    return page.get_x()


@pytest.mark.parametrize(
    ("sequence", "alone"), [(RUNNER, "🏃"), (FAMILY, "🏃"), (THUMB, "👍"), ("🇩🇪", "🏃")]
)
def test_an_emoji_of_several_signs_is_one_picture(sequence: str, alone: str) -> None:
    assert width(sequence) == pytest.approx(width(alone))
    assert sequence.replace("\ufe0f", "") in drawn(f"one {sequence} two")


def test_a_word_with_marks_is_one_word() -> None:
    """Arabic letters join over the vowels between them, and Persian ones part where asked to."""
    for word, without in (("مُحَمَّد", "محمد"), ("שָׁלוֹם", "שלום")):
        assert width(word) == pytest.approx(width(without), rel=0.05)
    assert width("می\u200cخواهم") != pytest.approx(width("میخواهم"), rel=0.01)


ALIKE = ("CJK UNIFIED IDEOGRAPH", "HANGUL SYLLABLE", "TANGUT IDEOGRAPH", "EGYPTIAN HIEROGLYPH")
LETTERS = st.one_of(
    st.characters(exclude_categories=["Cs"]), st.sampled_from(JOINERS + "🏃♀👩שلم晚aé")
)


@given(st.lists(st.text(LETTERS), max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_text_can_be_drawn(texts: list[str]) -> None:
    drawn(*texts)


@pytest.mark.slow
def test_every_character_can_be_drawn() -> None:
    """Each that Unicode knows, alone and behind a joiner; every hundredth of those that are
    numbered or made by a rule, of which there are more than a hundred thousand."""
    known = [
        chr(code)
        for code in range(0x110000)
        if unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs")
        and (code % 100 == 0 or not unicodedata.name(chr(code), "").startswith(ALIKE))
    ]
    texts = ["\u200d".join(known[at : at + 300]) for at in range(0, len(known), 300)]
    page = canvas(*texts)
    for text in texts:
        page.put(20, 20, text)
        page.put(20, 20, text.replace("\u200d", ""))
    assert page.to_bytes()
