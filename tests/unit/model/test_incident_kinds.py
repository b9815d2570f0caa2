"""Incidents are called the same in every view; the page gets the names, and the tab keeps a true copy."""

from __future__ import annotations

import ast
import json
import re

import pytest

from sidecar.model.incident import IncidentKind
from sidecar.model.incident_kinds import KINDS, text_for_project, users_and_workers
from sidecar.serve.app import page_with_kinds
from tests.fakes import sidecar_samples as samples
from tests.paths import ROOT

LASTING = ("blind", "failure_ratio", "forecast", "memory_high", "restart_loop", "throttled", "unhealthy")
WORKER = "1ca7f0040711_13aeb394f5734fcdad397abff9bf8e79"


def test_every_kind_has_a_name() -> None:
    assert set(KINDS) == set(IncidentKind)


def test_the_page_gets_the_names_and_what_lasts_from_the_server() -> None:
    html = page_with_kinds((ROOT / "sidecar/serve/static/index.html").read_text())
    (embedded,) = re.findall(r'<script id="incident-kinds" type="application/json">(.*?)</script>', html)
    names = {kind: traits.label for kind, traits in KINDS.items()}
    assert {kind: row["label"] for kind, row in json.loads(embedded).items()} == names
    assert {kind for kind, row in json.loads(embedded).items() if row["lasts"]} == set(LASTING)
    source = (ROOT / "sidecar/serve/static/js/incidents.js").read_text()
    assert not [name for name in names.values() if f'"{name}"' in source]


def test_the_tab_in_locusts_own_web_ui_uses_the_same_names() -> None:
    source = ast.parse((ROOT / "locustfiles/locust_kit/incidents_tab.py").read_text())
    (table,) = (
        ast.literal_eval(one.value)
        for one in source.body
        if isinstance(one, ast.Assign) and getattr(one.targets[0], "id", "") == "KIND_NAMES"
    )
    assert table == {kind: traits.label for kind, traits in KINDS.items()}


@pytest.mark.parametrize(
    ("users", "workers", "said"),
    [
        (50, (WORKER,), ", 50 users lost with worker 1ca7f0040711_13ae…"),
        (1, (WORKER, "b"), ", 1 user lost with workers 1ca7f0040711_13ae… and 1 more"),
        (0, (WORKER,), ", no users on worker 1ca7f0040711_13ae…"),
        (None, (WORKER,), ", worker 1ca7f0040711_13ae…"),
        (1200, (), ", 1,200 users lost"),
        (None, (), ""),
    ],
)
def test_a_loss_is_said_as_far_as_it_is_known(users: int | None, workers: tuple[str, ...], said: str) -> None:
    assert users_and_workers(users, workers) == said


def test_the_sentence_of_another_projects_container_says_which_project() -> None:
    text = "web-1 was OOM-killed; web-10 and my-web-1 were not"
    theirs = samples.incident(IncidentKind.EXIT, samples.NOW, text, project="shop", container="shop-web-1")
    assert text_for_project(theirs, "locust") == "shop-web-1 was OOM-killed; web-10 and my-web-1 were not"
    assert text_for_project(theirs, "locust", "shop/web-1").startswith("shop/web-1 was")
    assert text_for_project(theirs, "shop") == text
