"""A storm of 221 real OOM kills, as the streams told of it: recorded on Engine 26.1, cgroup v1.

The recording has what a made-up storm would not have thought of: readings that arrive after later ones, containers that
live for 3 ms, a restart of the sidecar in the middle. `storm-truth.json` is what the victims' parents logged.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter as Tally
from pathlib import Path
from typing import Any

from sidecar.incidents.reducer import IncidentReducer
from sidecar.model.incident import Incident, IncidentKind
from sidecar.model.signal import (
    ContainerRemoved,
    Counter,
    DockerEvent,
    Inspection,
    KernelReading,
    Owner,
    Signal,
    StreamDown,
    StreamUp,
    Tick,
    Unreadable,
)

DATA = Path(__file__).parent / "data"
PROJECT = "kit-test-harness"
RESTART_NS = 1_200_000_000  # a longer silence between two ticks is the sidecar's absence


def owner(name: str, project: str | None, service: str | None, helper: Any) -> Owner:
    return Owner(name, project, service, 1, bool(helper))


def signal(kind: str, row: list[Any]) -> Signal:  # noqa: PLR0911  # one for each kind of row
    match kind:
        case "event":
            received, ns, action, container_id, *whose, code, number = row
            return DockerEvent(ns, action, container_id, owner(*whose), code, number, received_ns=received)
        case "reading":
            at, host, counters, complete = row
            found = {one: Counter(*counter) for one, counter in counters.items()}
            return KernelReading(at, "boot", host, found, complete=complete)
        case "inspection":
            at, container_id, name, project, service, helper, *rest = row
            return Inspection(at, container_id, owner(name, project, service, helper), *rest)
        case "unreadable":
            return Unreadable(*row)
        case "gone":
            return ContainerRemoved(*row)
        case "up":
            return StreamUp(*row)
        case "down":
            return StreamDown(*row)
        case _:
            return Tick(*row)


def replay() -> dict[str, Incident]:
    """Hand the recording to the Book as the recorder would, with what it keeps carried over each restart as JSON."""
    ledger: dict[str, Incident] = {}
    kept: dict[str, Any] = {}
    reducer = IncidentReducer([PROJECT], lambda incident: incident)
    ticked = 0
    with gzip.open(DATA / "storm.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    reducer.began(rows[0][1])
    for kind, *row in rows:
        one = signal(kind, row)
        if isinstance(one, StreamUp) and one.since_ns is not None and one.at_ns - ticked > RESTART_NS:
            reducer = IncidentReducer(
                [PROJECT], lambda incident: incident, state=json.loads(json.dumps(kept)), incidents=[*ledger.values()]
            )
            reducer.began(one.at_ns)
        if isinstance(one, Tick):
            ticked = one.at_ns
        reducer.apply(one)
        ledger.update((incident.id, incident) for incident in reducer.changes())
        keep, drop = reducer.kept()
        kept.update(keep)
        for key in drop:
            kept.pop(key, None)
    return ledger


def test_every_kill_of_the_recorded_storm_is_counted_once_where_it_happened() -> None:
    truth = json.loads((DATA / "storm-truth.json").read_text())
    ledger = replay()
    counted: Tally[str] = Tally()
    for incident in ledger.values():
        if incident.kind is IncidentKind.OOM_KILL and incident.project == PROJECT:
            counted[incident.container_id or "?"] += incident.count
    assert {one: kills for one, kills in counted.items() if kills} == {
        one: kills for one, kills in truth["killed"].items() if kills
    }
    assert sum(counted.values()) == truth["host_kills"] == 221
    assert [one for one in ledger.values() if one.kind is IncidentKind.UNATTRIBUTED_OOM_KILL and one.count] == []
    assert any(one.kind is IncidentKind.BLIND for one in ledger.values())
