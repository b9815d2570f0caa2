"""One recorded run with hostile names, through each form of its report: no name acts, and none looks like another."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from sidecar.commands import summary
from sidecar.common.console import Console
from sidecar.common.visible_text import visible
from sidecar.locust_api.answers import parse_stats
from sidecar.locust_api.client import LocustApi
from sidecar.report import document as report
from sidecar.report.render import html, templates
from tests.fakes.run_scene import clean

NAMES = {
    "umlaut": "/für/测试/❤️", "colour": "/a\x1b[31m", "link": "/a\x1b]8;;http://evil.invalid\x1b\\x",
    "title": "/a\x1b]0;own\x07", "nul": "/a\x00", "bell": "/a\x07", "return": "/a\rPASS", "line": "/a\u2028",
    "newline": "/a\nPASS (exit code 0)", "override": "/a\u202e", "isolate": "/a\u2066", "zero": "/a\u200b",
    "mark": "/a\ufeff", "surrogate": "/a\ud800", "c1": "/a\x9b31m", "tag": "/a\U000e0041", "written": r"/a\x1b[31m",
    "plain": "/a", "mention": "/a @ann", "address": "/a http://evil.invalid", "entity": "/a &lt;b&gt;",
    "script": "/a <script>alert(1)</script>", "image": "/a <img src=x onerror=alert(1)>", "pipe": "/a|`b`",
    "formula": "=HYPERLINK(1)", "at": "@SUM(1)", "minus": "-1+2", "plus": "+1+2", "tab": "\t=1",
    "long": "/l" + "ong\x1b" * 2500,
}  # fmt: skip
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
FIGURES = {
    "requests": 10, "failures": 5, "fail_ratio": 0.5, "requests_per_second": 1.0, "median_ms": 20, "p95_ms": 80,
    "p99_ms": 90, "max_ms": 99.5, "min_ms": 1.0, "average_ms": 25.0,
}  # fmt: skip


def document() -> Mapping[str, Any]:
    group = {
        "method": "GET", "class": "server_error", "detail": "503", "count": 5, "share": 0.1, "advice": "Wait.",
        "first_seen": "2026-11-27T01:02:34.000Z", "last_seen": "2026-11-27T01:03:03.000Z",
    }  # fmt: skip
    record = replace(
        clean(
            end={"requests": 300, "failures": 150, "most_users": 50},
            statistics={
                "figures": {**FIGURES, "requests": 300, "failures": 150},
                "endpoints": [{"method": "GET", "name": name, **FIGURES} for name in NAMES.values()],
                "errors": [{"method": "GET", "name": n, "error": n, "occurrences": 5} for n in NAMES.values()],
            },
            groups={
                "classes": {"server_error": 150},
                "groups": [
                    {**group, "name": n, "message": n, "examples": [{"url": n, "body": n}]} for n in NAMES.values()
                ],
            },
        )
    )
    made = dict(report.make(record, "locust", 2, "1.0"))
    made["reasons"] = [*made["reasons"], *(f"{name} broke" for name in NAMES.values())]
    made["warnings"] = [*made["warnings"], *(f"{name} is odd" for name in NAMES.values())]
    checks = [{"name": name, "text": f"check {name}", "passed": False} for name in NAMES.values()]
    made["judged"] = {**made["judged"], "checks": checks}
    return made


def console(made: Mapping[str, Any]) -> str:
    out = io.StringIO()
    lines = [*summary.table(made, 60_000), *summary.failure_lines(made, 60_000), *NAMES.values()]
    for line in lines:
        Console(out).line(line)
    return out.getvalue()


FORMS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "console": console,
    "report.md": templates.markdown,
    "report.html": html.render,
    "failures": templates.failures_text,
    "junit.xml": lambda made: templates.junit(made).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_no_character_of_a_name_acts(form: str) -> None:
    text = FORMS[form](document())
    assert {char for char in text if unicodedata.category(char) in _UNSAFE} <= {"\n"}
    assert form == "junit.xml" or "\nPASS (exit" not in text  # a check's own text keeps its lines there
    assert "/für/测试/❤️" in text
    text.encode()


def _short(name: str) -> bool:
    return len(visible(name)) < 60


def test_each_name_has_its_own_row_on_the_console() -> None:
    rows = [line.split("  ")[0] for line in summary.table(document(), 60_000)[1:]]
    assert len(set(rows)) == len(rows) == len(NAMES) + 1


def test_each_name_has_its_own_row_in_markdown_and_none_is_live() -> None:
    text = templates.markdown(document())
    page = MarkdownIt("commonmark").enable("table").render(text)
    assert not [tag for tag in ("<a", "<img", "<script") if tag in page]
    rows = page.partition("Requests</h3>")[2].partition("<h3>")[0]
    cells = re.findall(r"<td[^>]*>(.*GET.*?)</td>", rows)
    assert len(set(cells)) == len(cells) == len(NAMES)


def test_each_check_has_its_own_name_in_junit() -> None:
    suite = ET.fromstring(templates.junit(document()))  # noqa: S314  our own
    cases = [str(case.get("name")) for case in suite.iter("testcase")]
    assert set(map(visible, NAMES.values())) <= set(cases)


def test_the_page_and_the_view_keep_names_apart() -> None:
    rows = [{"name": name, "method": "GET", "num_requests": 1} for name in NAMES.values() if _short(name)]
    shown = {end.name for end in parse_stats({"stats": rows[:20]}).endpoints}
    assert shown == {visible(str(row["name"])) for row in rows[:20]}


def test_the_tables_of_locust_are_saved_without_formulas_and_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    csv.writer(file).writerows([["Count", "Message", "Traceback"], *(["-1", n, "a\nb"] for n in NAMES.values())])
    body = file.getvalue().encode("utf-8", "surrogatepass").replace(b"\xed\xa0\x80", b"?")
    answer = type("Answer", (), {"status": 200, "body": body})()
    monkeypatch.setattr(LocustApi, "request", lambda *_, **__: answer)
    saved = {name: content for name, content, _ in LocustApi("http://127.0.0.1:1/").downloads()}
    for name in ("requests.csv", "failures.csv", "exceptions.csv"):
        rows = list(csv.reader(io.StringIO(saved[name].decode(), newline="")))[1:]
        assert {(row[0], row[2]) for row in rows} == {("-1", "a\nb")}
        assert len({row[1] for row in rows}) == len(NAMES)
        assert not [row for row in rows if row[1][0] in "=+-@\t\r" or not _is_safe(row[1].replace("\t", ""))]


def _is_safe(text: str) -> bool:
    return not any(unicodedata.category(character) in _UNSAFE for character in text)


def test_an_ordinary_table_of_locust_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'Type,Name,Average\r\nGET,"/a,b",-1.5\nGET,/c,2\r\n'
    answer = type("Answer", (), {"status": 200, "body": body})()
    monkeypatch.setattr(LocustApi, "request", lambda *_, **__: answer)
    assert ("requests.csv", body, "") in list(LocustApi("http://127.0.0.1:1/").downloads())
