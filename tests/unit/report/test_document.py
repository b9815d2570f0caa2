"""A run's document and all that is made of it: by its schema, whole, bounded, and every text a text."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from jsonschema import Draft202012Validator
from markdown_it import MarkdownIt
from PIL import Image

from sidecar.model.incident import IncidentKind
from sidecar.model.run_record import RunRecord
from sidecar.report import document as report
from sidecar.report.render import html, pictures, png, templates
from sidecar.report.verdict import comparison
from tests.fakes.run_scene import after, altered, clean, container, incident, moment
from tests.paths import ROOT

SCHEMA = Draft202012Validator(json.loads((ROOT / "docs" / "report.schema.json").read_text()))
HOSTILE = '<script src="http://evil.invalid/x.js"></script><img src=x onerror=alert(1)>'


def failing(message: str = "503 for /cart/#", names: int = 3) -> RunRecord:
    """The clean run, with 600 failures in its second half, of two classes."""
    moments = tuple(
        moment(second, failures=(count := max(0, 20 * (second - 30))), classes={"server_error": count, "dns": second})
        for second in range(61)
    )
    figures = {
        "requests": 6000, "failures": 600, "fail_ratio": 0.1, "requests_per_second": 100.0, "median_ms": 20,
        "p95_ms": 80, "p99_ms": 90, "max_ms": 99.5, "min_ms": 1.0, "average_ms": 25.0,
    }  # fmt: skip
    ends = [{"method": "GET", "name": f"/cart/{number}/{HOSTILE}", **figures} for number in range(names)]
    group = {
        "method": "GET", "name": f"/cart/{HOSTILE}", "class": "server_error", "detail": "503", "message": message,
        "count": 600, "first_seen": "2026-11-27T01:02:34.000Z", "last_seen": "2026-11-27T01:03:03.000Z",
        "advice": "It is overloaded.", "examples": [{"url": "http://shop/cart/1", "body": HOSTILE}] * 3,
    }  # fmt: skip
    times = {"count": 10, "mean_ms": 5.0, "median_ms": 5.0, "p95_ms": 9.0, "p99_ms": 9.0, "buckets": {"100": 10}}
    return clean(
        moments=moments,
        end={"requests": 6000, "failures": 600, "most_users": 50},
        statistics={
            "figures": figures,
            "endpoints": ends,
            "errors": [{"method": "GET", "name": "/cart", "error": HOSTILE, "occurrences": 600}],
        },
        groups={"classes": {"server_error": 600, "dns": 60}, "groups": [group] * 70},
        performance={
            "gamma": 1.02,
            "quantiles": "nearest rank",
            "slow_is_over_ms": 3000.0,
            "endpoints": [
                {"method": "GET", "name": "/cart", "good": times, "failed": times, "slow": 7, "slow_ms": 21000.0}
            ],
            "bottlenecks": [{"method": "GET", "name": "/cart", "slow": 7}],
        },
        incidents=(incident(IncidentKind.OOM_KILL, 30, text=f"an OOM kill {HOSTILE}"),),
    )


RECORDS = {
    "clean": clean(),
    "failing": failing(),
    "broke off": clean(ended_at=None, last_sign_at=after(20)),
    "going": clean(ended_at=None, is_running=True),
    "nothing but its beginning": RunRecord("20261127T010203Z-ab12", after(0), begin={"plan": {}}),
    "judged": clean(begin={**clean().begin, "judge": {"thresholds": "p95<10 ?avg<3", "on_invalid": "warn"}}),
    "unreadable thresholds": clean(begin={**clean().begin, "judge": {"thresholds": "p95 is fine"}}),
    "throttled": clean(series=(container(1, throttled_percent=60.0),)),
}


def made(record: RunRecord, **more: Any) -> dict[str, Any]:
    return report.make(record, "locust", cores=4, kit_version="0.1.0", **more)


@pytest.mark.parametrize("name", RECORDS)
def test_every_document_is_by_its_schema_and_makes_every_kind_of_report(name: str) -> None:
    document = made(RECORDS[name])
    SCHEMA.validate(json.loads(json.dumps(document)))
    for text in (html.render(document), templates.markdown(document), templates.failures_text(document)):
        assert document["verdict"] in text
        assert document["run_id"] in text
    xmlschema.XMLSchema(Path(__file__).parent / "junit.xsd").validate(io.BytesIO(templates.junit(document)))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://jaeger/trace/ab12", '<a href="http://jaeger/trace/ab12">ab12</a>'),
        ("", "<code>ab12</code>"),
        ("javascript:alert(1)", "<code>ab12</code>"),
        (7, "<code>ab12</code>"),
    ],
)
def test_the_report_links_to_the_trace_of_an_example(url: object, shown: str) -> None:
    document = made(failing())
    assert "Trace" not in html.render(document)
    document["failure_groups"][0]["examples"][0] |= {"trace_id": "ab12", "trace_url": url}
    assert f"<p>Trace {shown}</p>" in html.render(document)


def test_a_schema_that_takes_anything_would_be_none() -> None:
    document = made(clean())
    changes: tuple[dict[str, Any], ...] = (
        {"verdict": "MAYBE"},
        {"figures": {}},
        {"started_at": "yesterday"},
        {"schema_version": 2},
    )
    for change in changes:
        assert list(SCHEMA.iter_errors({**document, **change}))


def test_the_verdict_of_the_document_is_that_of_what_broke_and_of_the_thresholds() -> None:
    assert (made(clean())["verdict"], made(clean())["exit_code"]) == ("PASS", 0)
    found = made(RECORDS["failing"])
    assert (found["verdict"], found["exit_code"]) == ("INVALID", 4)
    assert found["judged"]["reasons"][0]["kind"] == "oom_kill"
    assert found["reasons"][1].startswith("10.00% of 6000 requests failed")
    assert made(RECORDS["judged"])["judged"]["thresholds"][1]["is_soft"]
    assert made(RECORDS["unreadable thresholds"])["warnings"][0].startswith("the run's thresholds cannot be read")


def test_nothing_that_a_master_takes_along_changes_what_is_on_the_disk() -> None:
    killed = replace(clean(), ended_at=None, last_sign_at=after(40), end={}, moments=clean().moments[:41])
    found = made(killed)
    assert (found["verdict"], found["state"], found["duration_seconds"]) == ("INVALID", "broke off", 40.0)
    assert found["figures"]["requests"] == 6000
    assert made(killed) == found


class _Page(HTMLParser):
    """What a browser would make of a page: its tags, what they fetch, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"src", "href", "srcset", "data", "action"} or name.startswith("on"):
                self.fetched.append(f"{tag} {name}={value}")
            if name == "id":
                self.ids.append(str(value))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_fetches_nothing_and_html_in_it_is_text() -> None:
    text = html.render(made(RECORDS["failing"]))
    page = _Page(text)
    assert page.fetched == []
    assert not page.tags & {"script", "img", "link", "iframe", "object"}
    assert "url(" not in text
    assert "@import" not in text
    assert len(page.ids) == len(set(page.ids))
    assert any(HOSTILE in text for text in page.texts)


def test_a_command_that_makes_no_page_does_not_load_jinja() -> None:
    program = (
        "import sys, sidecar.cli.__main__, sidecar.commands.up, sidecar.commands.run; print('jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_the_page_stays_small_whatever_failed() -> None:
    record = failing("x" * 100_000, names=2000)
    long_run = tuple(
        moment(second, classes={f"class {number}": second for number in range(12)}) for second in range(7200)
    )
    document = made(replace(record, moments=long_run, ended_at=after(7200)))
    assert len(html.render(document).encode()) < 3 << 20
    assert len(templates.markdown(document).encode()) < 60 << 10


def test_the_markdown_is_read_as_meant_by_a_parser() -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(templates.markdown(made(RECORDS["failing"])))
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 3
    assert kinds.count("heading_open") == 3
    assert not {"html_block", "code_block", "fence"} & set(kinds)
    inline = [child.type for token in tokens for child in token.children or []]
    assert not {"html_inline", "link_open", "image"} & set(inline)


def test_each_picture_is_a_file_of_its_own_size() -> None:
    document = made(RECORDS["failing"])
    for draw in pictures.FILES.values():
        image = Image.open(io.BytesIO(png.render(draw(document))))
        assert image.width == 2 * (960 + 2 * 14)
        colours = image.convert("RGB").getcolors(1 << 20)
        assert colours is not None
        assert len(colours) > 20


def test_failures_over_time_add_up_to_those_of_the_timeline() -> None:
    line = made(RECORDS["failing"])["timeline"]
    assert {name: sum(column) for name, column in line["failures"].items()} == {"server_error": 600, "dns": 60}


def test_the_text_report_lists_classes_endpoints_groups_and_times() -> None:
    text = templates.failures_text(made(RECORDS["failing"]))
    assert re.search(r"server_error +600 +90\.9%", text)
    assert re.search(r"600 +10\.0% of its requests +GET /cart/0/", text)
    assert "503 for /cart/#" in text
    assert re.search(r"01:02:34 +21", text)


def test_settings_are_given_for_the_users_that_were_asked_about() -> None:
    capacity = made(clean(), users=5000)["capacity"]
    assert [one["users"] for one in capacity["advice"]] == [5000]
    assert [one["users"] for one in made(clean())["capacity"]["advice"]] == [100, 250, 500]


def test_a_comparison_says_what_was_not_alike() -> None:
    other = {**clean().begin, "plan": {**clean().plan, "users": 10}, "host": "http://other"}
    found = comparison.document(failing(), replace(failing(), begin=other))
    assert found["changes"] == []
    assert found["unlike"] == ["users 50 → 10", "host http://shop → http://other"]
    document = {**made(RECORDS["failing"]), "comparison": found}
    SCHEMA.validate(json.loads(json.dumps(document)))
    assert "Different load" in html.render(document)
    assert "Different load" in templates.markdown(document)


def test_the_command_to_repeat_it_holds_what_was_asked_for() -> None:
    begin: Mapping[str, Any] = {**clean().begin, "judge": {"thresholds": "p95<800 fail_ratio<1%"}}
    found = made(clean(begin=begin))["repeat"]
    assert found == ("make run USERS=50 SPAWN_RATE=10 RUN_TIME=60 HOST=http://shop THRESHOLDS='p95<800 fail_ratio<1%'")


def test_the_arguments_of_the_locustfile_are_told_repeated_and_compared() -> None:
    blue = clean(begin={**clean().begin, "arguments": {"tenant": "blue", "key": "***", "note": ""}})
    green = clean(begin={**clean().begin, "arguments": {"tenant": "green", "key": "***", "note": ""}})
    document = {**made(green), "comparison": comparison.document(blue, green)}
    SCHEMA.validate(json.loads(json.dumps(document)))
    assert document["arguments"] == {"tenant": "green", "key": "***", "note": ""}
    assert document["repeat"].endswith(" tenant=green")
    assert ". Different arguments: tenant blue → green." in document["comparison"]["text"]
    for text in (html.render(document), templates.markdown(document).replace("\\", "")):
        assert "tenant=green, key=***, note=" in text
        assert "Different arguments: tenant blue → green" in text
    of_old_version = comparison.document(clean(), green)
    assert "arguments" not in of_old_version["text"]


def test_a_going_run_is_not_called_broken_and_a_busy_worker_is() -> None:
    assert made(RECORDS["going"])["verdict"] == "PASS"
    assert made(clean(moments=altered(0, 61, cpu_percent=99.0)))["judged"]["reasons"][0]["kind"] == "generator_cpu"
