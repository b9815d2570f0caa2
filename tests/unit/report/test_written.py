"""A run's document as JUnit XML and as Markdown: whole, bounded, and every text a text."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from sidecar.commands.summary import failure_lines
from sidecar.report.render import templates

HOSTILE = "<img src=x onerror=alert(1)> | `a` \x00 \x1b[31m *b* [c](d)\n# e"


def threshold(text: str, *, passed: bool = True, is_soft: bool = False) -> dict[str, Any]:
    return {"threshold": text, "text": f"{text}: 812 ms", "passed": passed, "is_soft": is_soft}


def document(**changed: Any) -> dict[str, Any]:
    figures = {
        "requests": 200, "failures": 2, "fail_ratio": 0.01, "requests_per_second": 20.0,
        "median_ms": 12, "p95_ms": 80, "p99_ms": None, "max_ms": 90.4,
    }  # fmt: skip
    return {
        "project": "locust",
        "run_id": "20261127T010203Z-ab12",
        "verdict": "FAIL",
        "reasons": ["p95<800: 812 ms"],
        "started_at": "2026-11-27T01:02:03Z",
        "duration_seconds": 10.5,
        "labels": {"env": "staging"},
        "settings": {"shape_class": None, "users": 5, "spawn_rate_per_second": 1.0, "host": "http://shop"},
        "workers": {"at_start": 2},
        "locust_version": "2.47.0",
        "figures": figures,
        "endpoints": [{"method": "GET", "name": "/cart", **figures}],
        "failures": [{"method": "GET", "name": "/cart", "error": HOSTILE, "occurrences": 2}],
        "judged": {
            "reasons": [],
            "thresholds": [threshold("p95<800", passed=False), threshold("?avg<3", is_soft=True)],
        },
        **changed,
    }


def test_each_threshold_is_a_case_with_the_figure_in_its_text() -> None:
    suite = ET.fromstring(templates.junit(document())).find("testsuite")  # noqa: S314  our own
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "3", "failures": "1", "errors": "0", "skipped": "1", "time": "10.5",
    }  # fmt: skip
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    failure = cases["p95<800"].find("failure")
    assert failure is not None
    assert (failure.get("type"), failure.text) == ("FAIL", "p95<800: 812 ms")
    assert cases["the measurement is valid"].find("error") is None


def test_what_broke_a_measurement_is_an_error_and_any_text_is_well_formed() -> None:
    judged = {"reasons": [{"text": HOSTILE}, {"text": "two"}], "thresholds": []}
    root = ET.fromstring(templates.junit(document(judged=judged, verdict="INVALID")))  # noqa: S314  our own
    (error,) = root.iter("error")
    assert error.get("message") == HOSTILE.replace("\x00", r"\x00").replace("\x1b", r"\x1b").replace("\n", r"\x0a")
    assert str(error.text).endswith("\ntwo")


def test_the_markdown_says_verdict_thresholds_and_figures() -> None:
    text = templates.markdown(document())
    assert text.startswith("## ❌ FAIL: 20261127T010203Z-ab12\n")
    assert "| **fails** | p95\\<800 | 812 ms |" in text
    assert "| reported | ?avg\\<3 | 812 ms |" in text
    assert "| GET /cart | 200 | 2 \\(1.00%\\) | 12 ms | 80 ms | – | 90 ms | 20.0 |" in text


def test_an_error_is_one_cell_of_text() -> None:
    (line,) = [line for line in templates.markdown(document()).splitlines() if "onerror" in line]
    assert line.count("|") - line.count("\\|") == 5
    assert "\\<img" in line
    assert "\\`a\\`" in line


@pytest.mark.parametrize("verdict", ["PASS", "FAIL", "INVALID"])
def test_it_stays_below_60_kib_whatever_happened(verdict: str) -> None:
    endless = "é" * 5000
    rows = [{**document()["endpoints"][0], "name": f"{number}{endless}"} for number in range(500)]
    failures = [{"method": "GET", "name": endless, "error": endless, "occurrences": 1}] * 500
    judged = {"reasons": [], "thresholds": [threshold(f"p95{{name={endless}}}<{number}") for number in range(100)]}
    text = templates.markdown(
        document(verdict=verdict, endpoints=rows, failures=failures, judged=judged, reasons=[endless] * 500)
    )
    assert len(text.encode()) < 60 * 1024
    assert text.endswith("\nCut here: the rest is in report.json.\n")


def test_of_many_names_the_busiest_are_shown_and_the_others_counted() -> None:
    rows = [{**document()["endpoints"][0], "name": f"/{number}", "requests": number} for number in range(40)]
    text = templates.markdown(document(endpoints=rows))
    assert "report.json has 10 more names." in text
    assert ("GET /39 |" in text, "GET /9 |" in text) == (True, False)


def test_groups_are_listed_with_their_share_and_a_kind_of_many_texts_is_one_line() -> None:
    of_one_kind = [{"method": "GET", "name": "/cart", "error": f"no order {n}", "occurrences": 1} for n in range(500)]
    group = {"method": "GET", "name": "/cart", "class": "assertion", "detail": "200", "message": "no order <n>"}
    groups = [{**group, "count": 400, "share": 0.8}, {**group, "name": "/pay", "count": 100, "share": 0.2}]
    figures = {**document()["figures"], "failures": 500}
    grouped = document(figures=figures, failures=of_one_kind, failure_groups=groups)
    assert failure_lines(grouped, 100) == [
        "400 × GET /cart (80.0%): assertion 200: no order <n>",
        "100 × GET /pay (20.0%): assertion 200: no order <n>",
    ]
    in_markdown = templates.markdown(grouped)
    assert "| 400 | 80.0% | GET /cart | assertion 200: no order \\<n\\> |" in in_markdown
    assert "smaller groups" not in in_markdown
    many = document(figures=figures, failure_groups=[groups[1]] * 50, failure_groups_left_out=1200)
    assert failure_lines(many, 100)[-1] == "… and 1,245 more groups; the groups above have 100.0% of the failures"
    assert "1,220 smaller groups have no row here." in templates.markdown(many)


def test_without_a_plugin_each_text_has_its_share() -> None:
    texts = [{"method": "GET", "name": "/cart", "error": f"no order {n}", "occurrences": 1} for n in range(500)]
    lines = failure_lines(document(figures={**document()["figures"], "failures": 500}, failures=texts), 100)
    assert (lines[0], lines[-1]) == (
        "1 × GET /cart (0.2%): no order 0",
        "… and 495 more groups; the groups above have 1.0% of the failures",
    )
