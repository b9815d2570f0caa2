"""The documentation says what is there, and all of it: metrics, incidents, routes, settings, commands, links."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from sidecar.cli.verbs import VERBS
from sidecar.diagnose import judge
from sidecar.diagnose.catalogue import causes
from sidecar.model.incident import ExitReason, Incident, IncidentKind
from sidecar.model.incident_kinds import KINDS
from sidecar.model.observation import SelfMetrics
from sidecar.model.snapshot import Locust, Snapshot
from sidecar.monitor.board import Board
from sidecar.report.runs.reports import Reports
from sidecar.serve.app import make_app
from sidecar.settings import ALIASES, SECRET_FILES, SETTINGS
from sidecar.views.metrics import container_families, locust_families, own_families
from tests.fakes.asking import ask
from tests.paths import ROOT

NOW = datetime(2026, 11, 22, 15, 4, 5, tzinfo=UTC)
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").glob("*.md")),
]
# What the code was and is: what these write in capitals need not be a setting of today.
HISTORY = [ROOT / "CHANGELOG.md", *sorted((ROOT / "docs/decisions").glob("*.md"))]
COLUMNS_OF_THE_GUIDE = 3
BREAKING = {"master_restart", "oom_kill", "worker_lost", "restart", "exit", "blind"}  # incidents of the same name
OF_ONE_VERB = {name for verb in VERBS.values() for name, _ in verb.words}


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def first_cells(text: str) -> Iterator[list[str]]:
    """The code words in the first cell of each table row."""
    for row in re.findall(r"^\|([^|\n]*)\|.*\|$", text, re.MULTILINE):
        if words := re.findall(r"`([^`]+)`", row):
            yield words


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title!r}"
    return found[1]


def exposed() -> dict[str, str]:
    locust = Locust("running", 1, 1.0, 0.0, 0.0, None, None, 0, 0)
    snapshot = Snapshot("locust", NOW, stale=False, interval_seconds=2.0, locust=locust)
    families = [
        *container_families([], fresh=True),
        *locust_families(snapshot, legacy=True),
        *own_families(SelfMetrics(NOW, cpu_seconds=0.0, memory_bytes=0), snapshot),
    ]
    return {family.name: family.kind for family in families}


def app() -> Starlette:
    reports = Reports(Path("/nowhere"), None, "locust", lambda: NOW)
    return make_app(Board(lambda: NOW), asyncio.Event(), metrics=lambda _snapshot, _legacy: "", reports=reports)


def test_every_metric_is_described_with_its_type_and_no_other_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram|untyped) \|", page("metrics.md"), re.MULTILINE)
    assert dict(rows) == exposed()
    assert len(rows) == len(exposed())


def test_every_kind_and_reason_is_described_and_no_other_is() -> None:
    text = page("incidents.md")
    kinds = {words[0] for words in first_cells(section(text, "Kinds"))}
    reasons = {words[0] for words in first_cells(section(text, "Why a container ended: `reason`"))}
    assert (kinds, reasons) == (set(IncidentKind), set(ExitReason))


def test_every_reason_for_invalid_is_in_the_one_table_and_no_other_is() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "sidecar/report/verdict").glob("*.py"))
    named = {*re.findall(r'(?:InvalidReason|lasting)\(\s*"([a-z_]+)"', sources)}
    rows = [*first_cells(section(page("verdict.md"), "What makes a run INVALID").partition("\n### ")[0])]
    assert {word for words in rows for word in words} == {*named, *BREAKING, "generator_blocked", "generator_starved"}


@pytest.mark.parametrize("kind", IncidentKind)
def test_a_kind_is_named_as_people_are_told(kind: IncidentKind) -> None:
    name = KINDS[kind].label
    told = f"`{kind}`" if name == kind else f"`{kind}`: {name}"
    assert f"\n| {told} |" in page("incidents.md")


def test_every_field_of_an_incident_is_described_and_no_other_is() -> None:
    described = [word for words in first_cells(section(page("incidents.md"), "The document")) for word in words]
    assert sorted(described) == sorted(field.name for field in fields(Incident))


def test_every_route_is_described_and_no_other_is() -> None:
    described = re.findall(r"^\| `(?:GET|POST) (/[^`]*)` \|", page("api.md"), re.MULTILINE)
    assert sorted(described) == sorted(route.path for route in app().routes if isinstance(route, Route))


@pytest.mark.parametrize("path", ["/api/incidents", "/api/logs", "/api/history"])
def test_every_parameter_of_a_route_is_described_and_no_other_is(path: str) -> None:
    error = ask(app(), path, nonsense="1").json["error"]
    known = error.partition("expected: ")[2].split(", ")
    described = [word for words in first_cells(section(page("api.md"), f"GET {path}")) for word in words]
    assert sorted(described) == sorted(known)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_setting_that_is_mentioned_exists(path: Path) -> None:
    text = path.read_text()
    named = set(re.findall(r"`([A-Z][A-Z_]+)`", text)) | set(re.findall(r"\b([A-Z][A-Z_]+)=", text))
    passed_through = {name for name in named if name.startswith(("LOCUST_", "GITHUB_", "OTEL_"))}
    assert named - passed_through <= {*SETTINGS, *ALIASES, *SECRET_FILES, *OF_ONE_VERB}


@pytest.mark.parametrize("path", [*PAGES, *HISTORY], ids=lambda path: path.name)
def test_every_command_that_is_mentioned_exists(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = set(re.findall(r"(?:`|^    |^    \$ )make ([a-z-]+)", text, re.MULTILINE))
    verbs = set(re.findall(r"(?:`|^    )scripts/kit ([a-z]+)", text, re.MULTILINE))
    assert made <= targets
    assert verbs <= set(VERBS)


@pytest.mark.parametrize("path", [*PAGES, *HISTORY], ids=lambda path: path.name)
def test_every_link_within_the_checkout_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_page_is_on_the_map_of_the_docs() -> None:
    listed = {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", page("README.md"))}
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= listed


def guide_rows() -> list[list[str]]:
    lines = [line for line in page("guide.md").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] not in {"In the guide", "---"}]


def test_the_guide_says_how_many_rows_it_has_and_each_has_what_and_where() -> None:
    said = re.search(r"(\d+) rows in all", page("guide.md"))
    assert said
    assert int(said[1]) == len(guide_rows())
    assert [row for row in guide_rows() if len(row) != COLUMNS_OF_THE_GUIDE or not row[1]] == []


def test_every_cause_and_check_that_the_guide_names_exists() -> None:
    text = page("guide.md")
    known = {*causes(), *(rule.name for rule in judge.RULES)}
    named = re.findall(r"(?:checks?|causes?) `([a-z0-9-]+)`(?: and `([a-z0-9-]+)`)?", text)
    assert {name for pair in named for name in pair if name} <= known
