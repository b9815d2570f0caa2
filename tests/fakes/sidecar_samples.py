"""Snapshots and observations to test with: real in shape, made up in figures."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sidecar.incidents.warnings import Known, warnings
from sidecar.model.incident import (
    FINAL,
    EvidenceItem,
    ExitReason,
    Incident,
    IncidentKind,
    MemorySample,
    Severity,
    identity,
)
from sidecar.model.observation import Inspected, Listed
from sidecar.model.snapshot import (
    Blind,
    Container,
    EndpointStats,
    Failure,
    Host,
    Locust,
    LogLine,
    Node,
    RunStatus,
    Snapshot,
    VerdictSoFar,
    Warn,
    Worker,
)
from sidecar.monitor.assembly import services

NOW = datetime(2026, 11, 22, 15, 4, 5, tzinfo=UTC)
GIB = 1 << 30
MIB = 1 << 20
DATA = Path(__file__).parent / "data"


def recorded(name: str) -> Any:
    """Read a recorded answer of the engine (`v1/stats_one_shot`)."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def container(service: str, index: int = 1, **changes: Any) -> Container:
    """Make a healthy container."""
    number = sum(map(ord, service)) + index
    used = (60 + index) * MIB
    made = Container(
        service=service,
        index=index,
        name=f"locust-{service}-{index}",
        id=f"{number:012x}",
        state="running",
        health="healthy",
        restarts=0,
        oom_kills=0,
        throttled_percent=0.0,
        started_at=NOW - timedelta(minutes=12, seconds=index),
        sampled_at=NOW,
        cpu_percent=12.5 + index,
        memory_working_set_bytes=used,
        memory_usage_bytes=used + 5 * MIB,
        memory_limit_bytes=2 * GIB,
        memory_percent=used / (2 * GIB) * 100,
        network_rx_bytes=1_234_567 * index,
        network_tx_bytes=345_678 * index,
        block_read_bytes=0,
        block_write_bytes=52_428_800,
        pids=4,
    )
    return replace(made, **changes)


def dead(service: str, index: int, exit_code: int) -> Container:
    """Make a container that has ended."""
    return Container(
        service=service,
        index=index,
        name=f"locust-{service}-{index}",
        id=f"{index:012x}",
        state="exited",
        exit_code=exit_code,
        restarts=0,
        started_at=NOW - timedelta(minutes=3),
        memory_limit_bytes=2 * GIB,
    )


def host(**changes: Any) -> Host:
    """Make a machine at ease."""
    made = Host(
        cpu_percent=38.2,
        cpu_count=2,
        load_1m=1.25,
        memory_used_bytes=4 * GIB,
        memory_total_bytes=16 * GIB,
        memory_percent=25.0,
        disk_read_bytes_per_second=0.0,
        disk_write_bytes_per_second=1_200_000.0,
        network_rx_bytes_per_second=3_400_000.0,
        network_tx_bytes_per_second=560_000.0,
        disk_used_percent=62.0,
    )
    return replace(made, **changes)


def locust(count: int, **changes: Any) -> Locust:
    """Make the figures of a run in full swing on so many workers."""
    made = Locust(
        state="running",
        users=200,
        rps=412.34,
        fail_per_second=0.0,
        fail_ratio=0.0,
        p50_ms=12.0,
        p95_ms=48.0,
        workers_connected=count,
        workers_expected=count,
        workers=tuple(
            Worker(f"{number:012x}_ab", f"locust-locust-worker-{number}", "running", 200 // count, 30.0, 60 * MIB)
            for number in range(1, count + 1)
        ),
    )
    return replace(made, **changes)


LOGS = tuple(
    LogLine(NOW - timedelta(seconds=20 - 4 * number), "locust-master", "locust-locust-master-1", text)
    for number, text in enumerate(
        (
            "[2026-11-22 15:03:45,522] f26e19abb9b8/INFO/locust.main: Starting Locust 2.47.0",
            (
                "[2026-11-22 15:03:49,001] f26e19abb9b8/INFO/locust.runners: 4f1c_a1 (index 0) reported as ready. "
                "1 workers connected."
            ),
            "[2026-11-22 15:03:53,002] f26e19abb9b8/INFO/locust.runners: Sending spawn jobs of 200 users",
            (
                "[2026-11-22 15:03:57,003] f26e19abb9b8/WARNING/root: CPU usage above 90%! This may constrain your "
                "throughput and may even give inconsistent response time measurements!"
            ),
            "Traceback (most recent call last):",
        )
    )
)


def stack(workers: int) -> tuple[Container, ...]:
    """Make the containers of a stack with so many workers."""
    return (
        container("docker-proxy", health=None, memory_limit_bytes=128 * MIB, memory_percent=8.0),
        container("locust-master", cpu_percent=3.2),
        *(container("locust-worker", number) for number in range(1, workers + 1)),
        container("mock-target", health=None, memory_limit_bytes=512 * MIB, memory_percent=6.0),
        container("monitor", health=None, memory_limit_bytes=256 * MIB, memory_percent=14.0),
    )


def snapshot(containers: tuple[Container, ...] = (), locust: Locust | None = None, **changes: Any) -> Snapshot:
    """Make a snapshot, judged by the real rules."""
    made = Snapshot(
        project="locust",
        at=NOW,
        stale=False,
        interval_seconds=2.0,
        engine_read_at=NOW,
        run=RunStatus("20261122T150205Z-ab12", "running", NOW - timedelta(minutes=2)) if locust else None,
        services=services(containers),
        containers=containers,
        locust=locust,
        locust_error=None if locust else "locust-master:8089 refuses connections: is the master starting?",
        host=host(),
        logs=LOGS if containers else (),
    )
    made = replace(made, **changes)
    known = Known(
        made.at,
        made.containers,
        made.locust,
        made.locust_error,
        made.host,
        unread=("Docker does not answer: Connection refused",) if made.stale else (),
        stale=made.stale,
    )
    return replace(made, warnings=warnings(known))


def empty() -> Snapshot:
    """Nothing runs yet."""
    return snapshot()


def running() -> Snapshot:
    """Four workers, all well."""
    return snapshot(stack(4), locust(4))


def stale() -> Snapshot:
    """Docker has not answered for 42 seconds."""
    return snapshot(stack(4), locust(4), stale=True, engine_read_at=NOW - timedelta(seconds=42))


def trouble() -> Snapshot:
    """One worker near its limit, one dead."""
    ended = dead("locust-worker", 3, 137)
    high = container("locust-worker", 2, memory_working_set_bytes=1_984_000_000, memory_percent=92.4, restarts=1)
    others = tuple(one for one in stack(4) if one.name not in {ended.name, high.name})
    figures = locust(4, workers_connected=3, workers_expected=3, fail_ratio=0.034, fail_per_second=14.2)
    return snapshot(tuple(sorted((*others, high, ended), key=lambda one: (one.service, one.index))), figures)


def sixty() -> Snapshot:
    """Sixty workers, all well."""
    return snapshot(stack(60), locust(60))


def listed(number: int = 1, **changes: Any) -> Listed:
    """Make a list entry of a running worker."""
    made = Listed(
        f"{number:012x}" + "0" * 52, f"locust-locust-worker-{number}", "locust-worker", number, "running", "healthy"
    )
    return replace(made, **changes)


def inspected(**changes: Any) -> Inspected:
    """Make an inspect of a running container."""
    return replace(Inspected("", NOW - timedelta(minutes=5), None, 0, 2 * GIB, None, tty=False), **changes)


def error_texts(found: tuple[Warn, ...]) -> list[str]:
    """Return the texts of the errors among warnings."""
    return [warning.text for warning in found if warning.severity == "error"]


def full_id(short: str) -> str:
    """Make a container's full id out of its short one."""
    return short.ljust(64, "0")


def incident(kind: IncidentKind, at: datetime, text: str, **changes: Any) -> Incident:
    """Make a warning about the third worker, final."""
    home = container("locust-worker", 3)
    made = Incident(
        id=identity(kind, full_id(home.id), "start", int(at.timestamp() * 1000)),
        kind=kind,
        severity=Severity.WARN,
        at=at,
        text=text,
        state=FINAL,
        project="locust",
        service=home.service,
        container=home.name,
        container_id=full_id(home.id),
        container_started_at=home.started_at,
        run_id="20261122T150205Z-ab12",
    )
    return replace(made, **changes)


def oom_story(at: datetime) -> tuple[Incident, ...]:
    """Make the OOM kill of a worker during a run, and what followed from it; newest first."""
    home = container("locust-worker", 3)
    worker = f"{home.id}_3f2a91c04d7e4b1f9a55d2c7e8b60a11"
    samples = tuple(
        MemorySample(at - timedelta(seconds=2 * number), (2000 - 64 * number) * MIB, (2044 - 64 * number) * MIB)
        for number in range(24, 0, -1)
    )
    kill = incident(
        IncidentKind.OOM_KILL,
        at,
        "locust-worker-3 was OOM-killed, 2044 of 2048 MiB in use, 50 users lost with worker 000000000564_3f2a…",
        severity=Severity.ERROR,
        reason=ExitReason.OOM,
        exit_code=137,
        process_survived=False,
        raw_events=2,
        memory_at_death_bytes=2044 * MIB,
        memory_peak_bytes=2 * GIB,
        memory_limit_bytes=2 * GIB,
        workers=(worker,),
        users_lost=50,
        evidence=(
            EvidenceItem("kernel_counter", "oom_kill went from 0 to 1", at),
            EvidenceItem("oom_event", "Docker said oom", at + timedelta(milliseconds=14)),
            EvidenceItem("exit", "the main process ended with exit code 137", at + timedelta(milliseconds=210)),
            EvidenceItem("memory", "the last readings before its death", at - timedelta(seconds=2), samples=samples),
            EvidenceItem("log", "the last lines of its log", lines=tuple(one.text for one in LOGS)),
        ),
    )
    later = at + timedelta(seconds=1)
    restart = incident(
        IncidentKind.RESTART,
        later,
        "locust-worker-3 was restarted: it was ended by an OOM kill (exit code 137)",
        cause=kill.id,
    )
    lost = incident(
        IncidentKind.WORKER_LOST,
        later,
        "locust-worker-3 was lost: its container was OOM-killed",
        severity=Severity.ERROR,
        cause=restart.id,
        workers=(worker,),
    )
    return lost, restart, kill


def oom() -> Snapshot:
    """A worker died of OOM four seconds ago, and is back; others leak; a worker was scaled away before."""
    back = container(
        "locust-worker", 3, restarts=1, oom_kills=1, health="starting", started_at=NOW - timedelta(seconds=3)
    )
    leaking = container(
        "locust-worker", 2, memory_working_set_bytes=1_610_612_736, memory_percent=75.0, oom_eta_seconds=412.0
    )
    held = container("locust-worker", 1, throttled_percent=12.0, cpu_limit_percent=100.0)
    changed = {one.name: one for one in (back, leaking, held)}
    containers = tuple(changed.get(one.name, one) for one in stack(4))
    figures = locust(4, workers_connected=3, users=150, fail_ratio=0.034, fail_per_second=14.2)
    return snapshot(
        containers,
        figures,
        verdict=VerdictSoFar(
            "INVALID",
            (
                "locust-worker-3 was OOM-killed, 2044 of 2048 MiB in use, 50 users lost with worker 000000000564_3f2a…",
                "3.40% failed",
            ),
        ),
        incidents=(
            *oom_story(NOW - timedelta(seconds=4)),
            incident(
                IncidentKind.FORECAST,
                NOW - timedelta(seconds=31),
                "locust-worker-2 will run out of memory in about 7 min (1536 of 2048 MiB)",
                container=leaking.name,
            ),
            incident(
                IncidentKind.WORKER_LEFT,
                NOW - timedelta(seconds=90),
                "locust-worker-5 left, no users on worker 000000000566_91cc…",
                severity=Severity.INFO,
                container="locust-locust-worker-5",
            ),
        ),
        failures=FAILURES,
        endpoints=ENDPOINTS,
    )


def blind() -> Snapshot:
    """The engine's events are not seen now; an earlier gap was never made up for, another one was."""
    gap = Blind(
        NOW - timedelta(seconds=90),
        NOW - timedelta(seconds=81),
        "sidecar",
        covered=False,
        text="the monitor was not running from 15:02:35 to 15:02:44 UTC (9.0 s): "
        "1 OOM kill of that time in no known container",
    )
    mended = Blind(NOW - timedelta(minutes=5), NOW - timedelta(minutes=4), "events", covered=True, text="a cut")
    now = Blind(
        NOW - timedelta(seconds=45),
        None,
        "events",
        covered=False,
        text="Docker's events did not arrive from 15:03:20 UTC on: connection refused",
    )
    told = incident(
        IncidentKind.BLIND, now.since, "Docker's events did not arrive", container=None, container_id=None, service=None
    )
    lost = incident(
        IncidentKind.UNATTRIBUTED_OOM_KILL,
        gap.until or NOW,
        "1 OOM kill on this host in no known container while the monitor could not see",
        severity=Severity.ERROR,
        container=None,
        container_id=None,
        service=None,
    )
    return snapshot(stack(4), locust(4), blind=(now, gap, mended), incidents=(told, lost))


def watched() -> Snapshot:
    """A project under test beside the stack, one of its containers dead."""
    gone = dead("checkout", 2, 1)
    theirs = (
        container("api", 1, project="shop", name="shop-api-1"),
        container("checkout", 1, project="shop", name="shop-checkout-1", memory_percent=61.0),
        replace(gone, project="shop", name="shop-checkout-2", exit_reason="crashed"),
        container("db", 1, project="shop", name="shop-db-1", memory_limit_bytes=None, memory_percent=4.0),
    )
    crash = incident(
        IncidentKind.EXIT,
        NOW - timedelta(minutes=2),
        "checkout-2 crashed (exit code 1)",
        severity=Severity.ERROR,
        project="shop",
        container="shop-checkout-2",
    )
    verdict = VerdictSoFar("PASS", ("0.00% of 49,481 requests failed, the limit is 1.00%",))
    return snapshot((*stack(4), *theirs), locust(4), watched="shop", incidents=(crash,), verdict=verdict)


FAILURES = (
    Failure("GET", "/api/items", "HTTPError('503 Server Error: Service Unavailable')", 1204, NOW, NOW),
    Failure("POST", "/api/cart", "ConnectionResetError(104, 'Connection reset by peer')", 37, NOW, NOW),
)
ENDPOINTS = (
    EndpointStats("GET", "/api/items", 41_022, 1204, 320.5, 51.0),
    EndpointStats("POST", "/api/cart", 8_123, 37, 80.25, 1_250.0),
    EndpointStats("GET", "/", 336, 0, 11.0, 8.0),
)


def cluster() -> Snapshot:
    """Three nodes, one of which has fallen silent."""
    made = running()
    homes = ("node1", "node2", "node3")
    containers = tuple(
        replace(one, node=homes[number % 3])
        if number % 3 != 1
        else replace(one, node="node2", state="unknown", health=None, cpu_percent=None, memory_percent=None,
                     memory_working_set_bytes=None, memory_usage_bytes=None)
        for number, one in enumerate(made.containers)
    )  # fmt: skip
    nodes = (
        Node("node1", answers=True, at=NOW, leads=True, running=3, host=made.host),
        Node("node2", answers=False, at=NOW - timedelta(seconds=14), error="no answer within 3 s"),
        Node("node3", answers=True, at=NOW, running=2, host=made.host),
    )
    silence = Blind(
        NOW - timedelta(seconds=14),
        None,
        "node",
        covered=False,
        text="no report from node2 from 15:03:51 UTC on: no answer within 3 s",
        node="node2",
    )
    return replace(
        made,
        containers=containers,
        services=services(containers),
        node="node1",
        leads=True,
        nodes=nodes,
        blind=(silence,),
    )
