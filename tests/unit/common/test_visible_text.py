"""Texts that act on a terminal, a page or a spreadsheet are shown, and two different ones never look the same."""

from __future__ import annotations

import csv
import io
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from sidecar.common.text import in_markdown
from sidecar.common.visible_text import csv_cell, csv_cell_or_number, harmless, visible

_ODD = st.text(st.sampled_from("\\\\\\x1bu20eU`|'=@ ") | st.sampled_from("\x1b\x00\n\u202e\u200b\ud800\U000e0041"))
_TEXTS = _ODD | st.text() | st.text(st.characters())
_ESCAPE = re.compile(r"(\\+)(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


def read_back(shown: str) -> str:
    """Return the text that was shown: an odd run of backslashes before a code ends in an escape."""

    def original(match: re.Match[str]) -> str:
        half = match[1][: len(match[1]) // 2]
        code = match[2] or match[3] or match[4]
        return f"{half}{chr(int(code, 16))}" if len(match[1]) % 2 else f"{half}{match[0][len(match[1]) :]}"

    return _ESCAPE.sub(original, shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb\u2028c\x9b", r"a\x0ab\u2028c\x9b"),
        ("\u202eabc\u2066\u200b\ufeff", r"\u202eabc\u2066\u200b\ufeff"),
        ("\ud800 \U000e0041", r"\ud800 \U000e0041"),
        (r"\x1b", r"\\x1b"),
        ("\\\x1b", r"\\\x1b"),
        (r"C:\new \d+ \\host", r"C:\new \d+ \\host"),
        ("für 测试 ❤️ 👩 e\u0301 a\u00a0b", "für 测试 ❤️ 👩 e\u0301 a\u00a0b"),
        ("👩\u200d👧", r"👩\u200d👧"),
    ],
)
def test_what_acts_is_shown_and_the_rest_stays(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(_TEXTS)
def test_each_text_can_be_read_back_so_no_two_look_alike(text: str) -> None:
    assert read_back(visible(text)) == text
    assert read_back(visible(text, also="|`")) == text
    for cell in (csv_cell(text), csv_cell_or_number(text)):
        assert read_back(cell[1:] if re.match(r"'+([=+\-@\t]|\\x0d)", cell) else cell) == text


@given(_TEXTS)
def test_a_whole_line_is_safe_and_escapes_in_it_stay(text: str) -> None:
    line = harmless(text)
    assert harmless(line) == line
    assert harmless(visible(text)) == visible(text)


def test_ten_thousand_characters_take_a_moment() -> None:
    for text in ("\\" * 10_000, "\x1b" * 10_000, ":a" * 5_000, "@" * 10_000, "a:" * 5_000):
        began = time.process_time()
        in_markdown(text)
        csv_cell(text)
        assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"), ("+x", "'+x"), ("-x", "'-x"), ("@x", "'@x"), ("\tx", "'\tx"), ("\rx", r"'\x0dx"),
        ("-1", "-1"), ("+1.5", "+1.5"), ("-1e-05", "-1e-05"), ("'=1", "''=1"), ("'a", "'a"), ("-1+2", "'-1+2"),
    ],
)  # fmt: skip
def test_a_cell_is_no_formula_and_a_number_stays_a_number(cell: str, written: str) -> None:
    assert csv_cell_or_number(cell) == written
    assert csv_cell(cell)[0] not in "=+-@\t\r"
    file = io.StringIO()
    csv.writer(file).writerow([written])
    assert next(csv.reader(io.StringIO(file.getvalue()))) == [written]


@pytest.mark.parametrize(
    "text",
    [
        "@ann", "see http://evil.invalid/x", "www.evil.invalid", "ann@evil.invalid", "#12", "GH-12", "a@b`c|d``",
        "<script>alert(1)</script>", "<img src=x>", "![x](http://evil.invalid/x)", "&lt;b&gt; &#64;ann", ":tada:",
        "<http://evil.invalid>", "`@ann`", "**bold** _it_ ~~no~~", "@a\\|`b`",
    ],
)  # fmt: skip
def test_markdown_shows_a_text_and_does_nothing(text: str) -> None:
    page = (
        MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(f"| a |\n| - |\n| {in_markdown(text)} |\n")
    )
    (cell,) = re.findall(r"<td>(.*)</td>", page)
    assert not re.search(r"<(?!/?code>)", cell)
    outside_code = re.sub(r"<code>.*?</code>", "", cell)
    assert not re.search(r"@\w|://|www\.|#\d|GH-\d|:\w+:", outside_code)
    assert "&lt;" in cell or "<" not in text
