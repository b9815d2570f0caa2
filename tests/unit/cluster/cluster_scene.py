"""Nodes and their words, made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sidecar.model.cluster import NodeReport, Reach
from sidecar.model.incident import Incident, IncidentKind, Severity
from sidecar.model.snapshot import Container, Host, Node, Snapshot

NOW = datetime(2026, 11, 22, 15, 4, 5, tzinfo=UTC)
BOOT = "11111111-0000-4000-8000-000000000000"
OWN = Node("node1", answers=True, at=NOW, leads=True)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def host() -> Host:
    return Host(12.0, 2, 0.5, 1 << 30, 4 << 30, 25.0, 0.0, 0.0, 0.0, 0.0, 40.0)


def worker(index: int, **changes: Any) -> Container:
    given = {
        "service": "locust-worker",
        "index": index,
        "name": f"locust-locust-worker-{index}",
        "id": f"{index:012x}",
        "state": "running",
        "health": "healthy",
        "started_at": NOW,
        "cpu_percent": 12.0,
        "memory_working_set_bytes": 40 << 20,
        "memory_usage_bytes": 45 << 20,
        "project": "locust",
    }
    return Container(**{**given, **changes})


def report(node: str, *containers: Container, **changes: Any) -> NodeReport:
    snapshot = Snapshot(
        project="locust",
        at=NOW,
        stale=False,
        interval_seconds=2.0,
        containers=containers,
        host=host(),
        node=node,
        leads=False,
    )
    given = {
        "node": node,
        "boot_id": f"{node}-boot",
        "kit_version": "0.1.0",
        "began_at": NOW - timedelta(hours=1),
        "at": NOW,
        "snapshot": snapshot,
        "mark": 7,
        "reach": Reach(NOW, took_ms=0.4),
    }
    return NodeReport(**{**given, **changes})


def incident(kind: IncidentKind, node: str | None, **changes: Any) -> Incident:
    given = {
        "id": f"{kind}-{node}",
        "kind": kind,
        "severity": Severity.ERROR,
        "at": NOW,
        "text": "it happened",
        "until": NOW,
        "node": node,
    }
    return Incident(**{**given, **changes})
