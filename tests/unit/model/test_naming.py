"""Incidents are called the same in every view; those that cannot import the names keep true copies."""

from __future__ import annotations

import ast
import re

import pytest

from sidecar.model.incident import IncidentKind
from sidecar.model.incident_kinds import KIND_NAMES, told, users_and_workers
from tests.fakes import sidecar_samples as samples
from tests.paths import ROOT

WORKER = "1ca7f0040711_13aeb394f5734fcdad397abff9bf8e79"


def test_every_kind_has_a_name() -> None:
    assert set(KIND_NAMES) == set(IncidentKind)


def test_the_page_uses_the_same_names() -> None:
    source = (ROOT / "sidecar/serve/static/js/incidents.js").read_text()
    table = re.search(r"const KINDS = \{(.*?)\};", source, re.DOTALL)
    assert table
    assert dict(re.findall(r'(\w+): "([^"]+)"', table[1])) == KIND_NAMES


def test_the_tab_in_locusts_own_web_ui_uses_the_same_names() -> None:
    source = ast.parse((ROOT / "locustfiles/locust_kit/incidents_tab.py").read_text())
    (table,) = (
        ast.literal_eval(one.value)
        for one in source.body
        if isinstance(one, ast.Assign) and getattr(one.targets[0], "id", "") == "KIND_NAMES"
    )
    assert table == KIND_NAMES


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
    assert told(theirs, "locust") == "shop-web-1 was OOM-killed; web-10 and my-web-1 were not"
    assert told(theirs, "locust", "shop/web-1").startswith("shop/web-1 was")
    assert told(theirs, "shop") == text
