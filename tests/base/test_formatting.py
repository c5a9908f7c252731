import csv
import io
import random

import pytest

from activelog.base.formatting import escape_formula, may_hold_formula, unescape_formula


@pytest.mark.parametrize(
    "text",
    ["=1+1", " =1+1", "＝1+1", "x;=cmd|'/C calc'!A0", "x\t@SUM(A1)", "one\n=1+1", "'=1", "\tx"],
)
def test_no_cell_begins_with_a_formula_wherever_a_spreadsheet_splits(text: str) -> None:
    for mark in (";", "\t", "\n"):
        for cell in escape_formula(text).split(mark):
            assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "＝", "\t"))


def test_texts_come_back_as_they_were() -> None:
    draw = random.Random(1)
    for _ in range(20_000):
        text = "".join(draw.choice("'=+-@;\t\n x,\"＝") for _ in range(draw.randint(0, 7)))
        escaped = escape_formula(text)
        assert unescape_formula(escaped) == text
        if escaped != text:
            lines = io.StringIO(newline="")
            csv.writer(lines, lineterminator="\n").writerow(["1", text, "x"])
            assert may_hold_formula(lines.getvalue())
