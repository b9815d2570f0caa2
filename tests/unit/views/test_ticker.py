"""Incidents in groups, and which of them the ticker shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

from sidecar.model.incident import Incident, IncidentKind, Severity
from sidecar.model.snapshot import Snapshot
from sidecar.views.incident_groups import current, grouped, ticker
from sidecar.views.lines import plain
from tests.fakes import sidecar_samples as samples


def ago(seconds: float, kind: IncidentKind = IncidentKind.EXIT, **changes: Any) -> Incident:
    return samples.incident(kind, samples.NOW - timedelta(seconds=seconds), "it happened", **changes)


def holding(*incidents: Incident) -> Snapshot:
    return replace(samples.running(), incidents=incidents)


def shown(*incidents: Incident, room: int | None = None, width: int = 80) -> list[str]:
    snapshot = holding(*incidents)
    told = current(grouped(snapshot), samples.NOW)
    return plain(ticker(told, snapshot, width=width, most=room, zone=UTC).lines(room)).splitlines()


def test_the_line_of_an_oom_kill_says_worker_container_memory_and_users() -> None:
    (line,) = shown(*samples.oom_story(samples.NOW), width=160)
    said = "locust-worker-3 was OOM-killed, 2044 of 2048 MiB in use, 50 users lost with worker 000000000564_3f2a…"
    assert f"OOM kill  {said} → " in line


def test_consequences_are_folded_into_their_causes_line_through_any_depth() -> None:
    (line,) = shown(*samples.oom_story(samples.NOW), width=160)
    assert line.endswith("→ worker lost, restarted")


def test_a_consequence_whose_cause_is_not_shown_stands_for_itself() -> None:
    lost, restart, _ = samples.oom_story(samples.NOW)
    (line,) = shown(lost, restart, width=160)
    assert "restart  locust-worker-3 was restarted: it was ended by an OOM kill (exit code 137)" in line
    assert line.endswith("→ worker lost")


def test_causes_that_go_in_a_ring_lose_no_incident() -> None:
    first, second = ago(1), ago(2)
    lines = shown(replace(first, cause=second.id), replace(second, cause=first.id))
    assert len(lines) == 2


def test_users_are_taken_from_a_consequence_when_the_cause_does_not_know_them() -> None:
    lost, restart, kill = samples.oom_story(samples.NOW)
    (line,) = shown(replace(lost, users_lost=7), restart, replace(kill, text="killed", workers=()), width=160)
    assert "killed, 7 users lost with worker 000000000564_3f2a… → " in line


def test_an_error_stays_when_warnings_and_infos_have_gone() -> None:
    old = 3 * 3600
    lines = shown(
        ago(old, severity=Severity.ERROR), ago(old + 1, severity=Severity.WARN), ago(old + 2, severity=Severity.INFO)
    )
    assert len(lines) == 1
    assert lines[0].startswith("✗")


def test_a_warning_outlives_an_info() -> None:
    assert [one[0] for one in shown(ago(300, severity=Severity.WARN), ago(301, severity=Severity.INFO))] == ["!"]


def test_a_condition_that_goes_on_does_not_age() -> None:
    lasting = ago(5 * 3600, IncidentKind.THROTTLED, severity=Severity.INFO)
    assert shown(lasting)[0].endswith("ongoing")
    assert not shown(replace(lasting, until=samples.NOW - timedelta(hours=4)))


def test_an_older_error_has_its_place_before_newer_infos() -> None:
    infos = [ago(number, severity=Severity.INFO) for number in range(1, 20)]
    lines = shown(*infos, ago(900, severity=Severity.ERROR), room=4)
    assert [line[0] for line in lines[:3]] == ["·", "·", "✗"]
    assert lines[3] == "  … 17 more: 17 infos"


def test_what_does_not_fit_is_counted_by_severity() -> None:
    errors = [ago(number, severity=Severity.ERROR) for number in range(1, 4)]
    assert shown(*errors, ago(9), room=2)[1] == "  … 3 more: 2 errors, 1 warning"


def test_in_a_room_of_one_line_the_gravest_story_stands_instead_of_a_count() -> None:
    (line,) = shown(*samples.oom_story(samples.NOW - timedelta(hours=1)), ago(9), room=1)
    assert line.startswith("✗ 14:04:05 OOM kill  locust-worker-3")
    assert line.endswith("…")


def test_the_self_tests_victims_are_left_out() -> None:
    assert not shown(ago(1, severity=Severity.ERROR, helper=True))


def test_an_info_whose_consequence_is_an_error_counts_as_an_error() -> None:
    cause = ago(2, severity=Severity.INFO)
    (line,) = shown(ago(1, IncidentKind.WORKER_LOST, severity=Severity.ERROR, cause=cause.id), cause)
    assert line.startswith("✗")
