import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activelog.base.formatting import escape_formula, may_hold_formula, unescape_formula

MARKS = "'=+-@;\t\n\r x,\"＝＋－＠"


@pytest.mark.parametrize(
    "text",
    ["=1+1", " =1+1", "＝1+1", "x;=cmd|'/C calc'!A0", "x\t@SUM(A1)", "one\n=1+1", "'=1", "\tx"],
)
def test_no_cell_begins_with_a_formula_wherever_a_spreadsheet_splits(text: str) -> None:
    for mark in (";", "\t", "\n"):
        for cell in escape_formula(text).split(mark):
            assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "＝", "\t"))


@given(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(MARKS))))
@settings(max_examples=2000, deadline=None)
def test_texts_come_back_as_they_were(text: str) -> None:
    escaped = escape_formula(text)
    assert unescape_formula(escaped) == text
    for mark in (";", "\t", "\n", "\r"):
        for cell in escaped.split(mark):
            assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    if escaped != text and "\r" not in text:  # texts are stored without
        lines = io.StringIO(newline="")
        csv.writer(lines, lineterminator="\n").writerow(["1", text, "x"])
        assert may_hold_formula(lines.getvalue())
