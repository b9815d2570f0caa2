"""What was known around an incident: the rounds before it, not those after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sidecar.model.incident import Incident, IncidentKind, MemorySample, Severity
from sidecar.model.observation import LogEntry
from sidecar.model.snapshot import Locust, RunStatus, Snapshot, Worker
from sidecar.monitor.context import Context
from tests.fakes import sidecar_samples as samples

CONTAINER = "locust-locust-worker-1"
FULL_ID = "c" * 64


class Samples:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def recent(self, container_id: str, before: datetime, most: int = 50) -> tuple[MemorySample, ...]:
        del most
        self.asked.append(container_id)
        return (MemorySample(before, 90, 100), MemorySample(before, 80, 95))


class Lines:
    def recent(self, container_id: str, most: int) -> Sequence[LogEntry]:
        assert container_id == FULL_ID
        return [LogEntry(None, f"line {number}") for number in range(most)]


def snapshot(seconds: float, users: int, state: str = "running", worker: str = "w_1") -> Snapshot:
    workers = (Worker(worker, CONTAINER, state, users, 1.0, 1), Worker("other", "elsewhere", "running", 7, 1.0, 1))
    locust = Locust("running", users + 7, 1.0, 0.0, 0.0, None, None, 2, 2, workers)
    run = RunStatus("run-1", "running", samples.NOW)
    return replace(samples.running(), at=samples.NOW + timedelta(seconds=seconds), locust=locust, run=run)


def kill(seconds: float = 5.0) -> Incident:
    at = samples.NOW + timedelta(seconds=seconds)
    return Incident(
        "a" * 16, IncidentKind.OOM_KILL, Severity.ERROR, at, "", until=at, container=CONTAINER, container_id=FULL_ID
    )


def context(*rounds: Snapshot) -> tuple[Context, Samples]:
    kept = Samples()
    made = Context(kept, Lines())
    for one in rounds:
        made.remember(one)
    return made, kept


def test_a_remote_worker_is_none_of_a_container_that_nobody_knows() -> None:
    far = replace(snapshot(2, 10).locust or Locust("", 0, 0.0, 0.0, 0.0, None, None, 0, 0), workers=())
    far = replace(far, workers=(Worker("load2_1", None, "running", 9, 1.0, 1, remote=True),))
    made, _ = context(replace(snapshot(2, 10), locust=far))
    assert made.enrich(replace(kill(), container=None, container_id=None)).workers == ()


def test_the_users_are_those_of_the_round_before_the_kill() -> None:
    made, _ = context(snapshot(2, 10), snapshot(4, 12), snapshot(6, 0, worker="w_2"))
    found = made.enrich(kill())
    assert (found.workers, found.users_lost, found.run_id) == (("w_1",), 12, "run-1")


def test_a_worker_already_missing_is_passed_over() -> None:
    made, _ = context(snapshot(2, 10), snapshot(4, 3, state="missing"))
    assert made.enrich(kill()).users_lost == 10


def test_memory_and_log_are_kept_as_evidence() -> None:
    made, kept = context(snapshot(4, 1))
    found = made.enrich(kill())
    assert kept.asked == [FULL_ID[:12]]
    assert (found.memory_at_death_bytes, found.memory_peak_bytes) == (95, 100)
    by_kind = {one.what: one for one in found.evidence}
    assert len(by_kind["memory"].samples) == 2
    assert len(by_kind["log"].lines) == 50


def test_what_an_incident_says_itself_stays() -> None:
    made, _ = context(snapshot(4, 1))
    found = made.enrich(replace(kill(), memory_at_death_bytes=128, memory_peak_bytes=128, users_lost=9, workers=("x",)))
    assert (found.memory_at_death_bytes, found.memory_peak_bytes) == (128, 128)
    assert (found.users_lost, found.workers) == (9, ("x",))


def test_a_second_look_brings_the_newer_log_and_nothing_twice() -> None:
    made, _ = context(snapshot(4, 1))
    once = made.enrich(kill())
    assert [one.what for one in made.enrich(once).evidence] == [one.what for one in once.evidence]


def test_an_incident_of_no_container_only_learns_the_run() -> None:
    made, kept = context(snapshot(4, 1))
    blind = Incident("b" * 16, IncidentKind.BLIND, Severity.WARN, samples.NOW + timedelta(seconds=5), "")
    found = made.enrich(blind)
    assert found == replace(blind, run_id="run-1")
    assert kept.asked == []
