"""Events, incidents, samples and lines for the tests of the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sidecar.ledger.ledger_reader import EVENT_COLUMNS, LedgerReader
from sidecar.model.history import RunPoint, Sample, StoredLine
from sidecar.model.incident import FINAL, Incident, IncidentKind, Severity
from sidecar.model.signal import DockerEvent, Owner

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9
SECOND_NS = 10**9
PATIENCE_SECONDS = 30.0
MIB = 1024 * 1024


def clock() -> datetime:
    return NOW


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def container_id(number: int) -> str:
    return f"{number:064x}"


def event(number: int = 1, **changes: Any) -> DockerEvent:
    owner = Owner(f"locust-worker-{number}", "locust", "locust-worker", number)
    made = DockerEvent(
        NOW_NS + number, "die", container_id(1), owner, exit_code=137, received_ns=NOW_NS, raw='{"a":"%_"}'
    )
    return replace(made, **changes)


def incident(number: int = 1, **changes: Any) -> Incident:
    made = Incident(
        id=f"incident-{number}",
        kind=IncidentKind.OOM_KILL,
        severity=Severity.ERROR,
        at=later(number),
        until=later(number),
        state=FINAL,
        text=f"locust-worker-1 was OOM-killed ({number})",
        project="locust",
        service="locust-worker",
        container="locust-worker-1",
        container_id=container_id(1),
    )
    return replace(made, **changes)


def sample(number: int = 1, **changes: Any) -> Sample:
    made = Sample(
        container_id=container_id(number),
        name=f"locust-worker-{number}",
        project="locust",
        service="locust-worker",
        index=number,
        working_set_bytes=100 * MIB,
        usage_bytes=120 * MIB,
        limit_bytes=256 * MIB,
        cpu_percent=50.0,
        throttled_percent=0.0,
        network_rx_bytes=1,
        network_tx_bytes=2,
        block_read_bytes=3,
        block_write_bytes=4,
        pids=5,
        restarts=0,
        oom_kills=0,
    )
    return replace(made, **changes)


def run_point(at: datetime = NOW, **changes: Any) -> RunPoint:
    return replace(RunPoint(at, "running", 100, 50.0, 0.0, 10.0, 20.0, 4), **changes)


def line(text: str, seconds: float = 0, number: int = 1, **changes: Any) -> StoredLine:
    made = StoredLine(
        ns=NOW_NS + int(seconds * SECOND_NS),
        container_id=container_id(number),
        text=text,
        name=f"locust-worker-{number}",
        project="locust",
        service="locust-worker",
    )
    return replace(made, **changes)


def events_of(reader: LedgerReader, container_id: str, limit: int = 100) -> list[DockerEvent]:
    """Return the latest events of a container (its full id) that the ledger keeps, oldest first."""
    sql = f"SELECT {EVENT_COLUMNS} FROM events WHERE container_id = :id ORDER BY ns DESC, action LIMIT :limit"  # noqa: S608 constants
    rows = reader._readers.rows(sql, {"id": container_id, "limit": limit})
    return [
        DockerEvent(ns, action, of, Owner(name, project, service, index, bool(helper)), *rest)
        for of, ns, action, name, project, service, index, helper, *rest in reversed(rows)
    ]
