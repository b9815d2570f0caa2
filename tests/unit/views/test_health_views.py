"""Whether things answer, as each view tells it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from sidecar.cli import incidents as snapshot_verbs
from sidecar.cli.verbs import VERBS, call
from sidecar.common.errors import StackError
from sidecar.model import document
from sidecar.model.observation import SelfMetrics
from sidecar.model.snapshot import Health, Snapshot
from sidecar.views import top
from sidecar.views.lines import text_of
from sidecar.views.metrics import own_families
from tests.fakes.sidecar_samples import NOW, running

WELL = Health(
    "master",
    "http://locust-master:8089/",
    passed=True,
    at=NOW,
    since=NOW - timedelta(hours=2),
    status=200,
    response_ms=3.4,
    uptime_percent=99.95,
)
DOWN = Health(
    "target", "http://shop/", passed=False, at=NOW, since=NOW - timedelta(seconds=40), response_ms=5000.0,
    error="connection refused", uptime_percent=50.0,
)  # fmt: skip


def told(*health: Health) -> Snapshot:
    return replace(running(), health=health)


def test_the_frame_says_what_is_down_first_and_nothing_when_nobody_asks() -> None:
    (line,) = top.health(told(WELL, DOWN), 100)
    assert text_of(line) == "Health  ✗ target: connection refused  ● master 3 ms"
    assert list(top.health(told(), 100)) == []


def test_prometheus_gets_up_and_time_of_each() -> None:
    families = own_families(SelfMetrics(NOW, cpu_seconds=0.0, memory_bytes=0), told(WELL, DOWN))
    lines = [line for family in families if "endpoint" in family.name for line in family.lines]
    assert lines == [
        'locust_kit_endpoint_up{endpoint="master"} 1',
        'locust_kit_endpoint_up{endpoint="target"} 0',
        'locust_kit_endpoint_response_seconds{endpoint="master"} 0.0034',
        'locust_kit_endpoint_response_seconds{endpoint="target"} 5.0',
    ]


def test_it_goes_there_and_back_in_the_snapshot() -> None:
    snapshot = told(WELL, DOWN)
    assert document.loads(document.dumps(snapshot)).health == (WELL, DOWN)


@pytest.mark.parametrize(("health", "code"), [((WELL,), 0), ((WELL, DOWN), 1)])
def test_the_command_prints_a_line_each_and_its_code_says_whether_all_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], health: tuple[Health, ...], code: int
) -> None:
    monkeypatch.setattr(snapshot_verbs, "first_snapshot", lambda _reader, _project: told(*health))
    assert call(VERBS["health"], [], {}) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["✓", "master", "200", "3", "ms", "2h", "00m", "99.95%", "http://locust-master:8089/"]
    assert len(lines) == 1 + len(health)
    assert call(VERBS["health"], ["--json"], {}) == code
    found = json.loads(capsys.readouterr().out)
    assert (found["passed"], [endpoint["name"] for endpoint in found["endpoints"]]) == (
        code == 0,
        [one.name for one in health],
    )


def test_a_sidecar_that_asks_nobody_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_verbs, "first_snapshot", lambda _reader, _project: told())
    with pytest.raises(StackError, match="HEALTH_SECONDS is 0"):
        call(VERBS["health"], ["HEALTH_SECONDS=0"], {})
