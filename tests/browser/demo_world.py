"""A made-up stack with a past: curves of memory and processor, a run, incidents, a blind span, log lines.

Everything is a function of time, so that what was served before a restart is the same after it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sidecar.client.documents import without_evidence
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
from sidecar.model.snapshot import (
    Blind,
    Container,
    EndpointStats,
    Failure,
    Host,
    Locust,
    LogLine,
    RunStatus,
    Snapshot,
    VerdictSoFar,
    Warn,
    Worker,
)
from sidecar.monitor.assembly import services

MIB, GIB = 1 << 20, 1 << 30
PROJECT, OTHER_PROJECT = "locust", "shop"
RUN_ID = "20261122T150205Z-ab12"
LEAKING, THROTTLED = 3, 7  # workers: one is OOM-killed every few minutes, one lacks processor time

_LEAK_SECONDS = 240.0


class World:
    """The stack at any moment, from an hour before `now` on."""

    def __init__(self, workers: int, now: datetime) -> None:
        self.workers = workers
        self.began = now - timedelta(hours=1)
        self.now = now
        self.blind: tuple[Blind, ...] = (
            Blind(
                now - timedelta(minutes=9),
                now - timedelta(minutes=8),
                "sidecar",
                covered=False,
                text="the sidecar did not run",
            ),
        )
        self.incidents: dict[str, Incident] = {}
        for at in self._kills(now):
            kill = self.oom_kill(LEAKING, at)
            self.incidents[kill.id] = kill
        throttled = self.throttled(now - timedelta(minutes=6))
        left = self.worker_left(now - timedelta(minutes=12))
        self.incidents |= {throttled.id: throttled, left.id: left}

    def _kills(self, now: datetime) -> list[datetime]:
        passed = now.timestamp() % _LEAK_SECONDS
        return [now - timedelta(seconds=passed + number * _LEAK_SECONDS) for number in range(12)]

    def used_bytes(self, index: int, at: datetime) -> int:
        """Memory of a worker: a leak that ends in a kill, or the sawtooth of a garbage collector."""
        second = at.timestamp()
        if index == LEAKING:
            return int((90 + 400 * (second % _LEAK_SECONDS) / _LEAK_SECONDS) * MIB)
        period = 37 + 5 * (index % 9)
        return int((110 + 9 * (index % 13) + 40 * (second % period) / period) * MIB)

    def cpu_percent(self, index: int, at: datetime) -> float:
        """Tell a worker's share of a core."""
        second = at.timestamp()
        wave = 8 * math.sin(second / (11 + index % 7)) + 4 * math.sin(second / 3.1 + index)
        return max(1.0, (78 if index == THROTTLED else 24 + index % 10) + wave)

    def users(self, at: datetime) -> float:
        """Tell the users of the run: a ramp, then a plateau, less a worker's share for a while after each kill."""
        minutes = (at - self.began).total_seconds() / 60
        full = max(0.0, min(400.0, (minutes - 25) * 60))
        dead = at.timestamp() % _LEAK_SECONDS < 12
        return full * (1 - 1 / self.workers) if dead else full

    def rps(self, at: datetime) -> float:
        """Tell the requests of the run in a second."""
        second = at.timestamp()
        return self.users(at) * (1.4 + 0.12 * math.sin(second / 7) + 0.06 * math.sin(second / 1.7))

    def worker(self, index: int, at: datetime) -> Container:
        """Make the container of one worker."""
        used, limit = self.used_bytes(index, at), 512 * MIB
        leak_rate = 400 * MIB / _LEAK_SECONDS
        leaking = index == LEAKING and used > limit / 2
        return Container(
            service="locust-worker", index=index, name=f"locust-locust-worker-{index}", id=f"{index:012x}",
            state="running", health="healthy", restarts=12 if index == LEAKING else 0,
            started_at=self.began if index != LEAKING else at - timedelta(seconds=at.timestamp() % _LEAK_SECONDS),
            sampled_at=at, cpu_percent=self.cpu_percent(index, at), cpu_limit_percent=100.0,
            throttled_percent=23.0 + 6 * math.sin(at.timestamp() / 9) if index == THROTTLED else 0.0,
            memory_working_set_bytes=used, memory_usage_bytes=used + 14 * MIB, memory_limit_bytes=limit,
            memory_percent=used / limit * 100, network_rx_bytes=812_345_678, network_tx_bytes=234_567_890,
            block_read_bytes=0, block_write_bytes=4_194_304, pids=4, project=PROJECT,
            oom_kills=12 if index == LEAKING else 0,
            oom_eta_seconds=(limit - used - 14 * MIB) / leak_rate if leaking else None,
        )  # fmt: skip

    def containers(self, at: datetime) -> tuple[Container, ...]:
        """Make all containers."""
        workers = tuple(self.worker(index, at) for index in range(1, self.workers + 1))
        small = workers[0]
        others = (("docker-proxy", 512), ("locust-master", 1024), ("mock-target", 512), ("monitor", 384))
        service = tuple(
            replace(
                small,
                service=name,
                index=1,
                name=f"locust-{name}-1",
                id=f"{number:x}" * 12,
                cpu_percent=2.0 + number,
                memory_working_set_bytes=(30 + 12 * number) * MIB,
                memory_usage_bytes=(40 + 12 * number) * MIB,
                memory_limit_bytes=limit * MIB,
                memory_percent=(30 + 12 * number) / limit * 100,
            )
            for number, (name, limit) in enumerate(others, 10)
        )
        database = replace(
            small, project=OTHER_PROJECT, service="postgres", index=1, name="shop-postgres-1", id="d" * 12,
            memory_limit_bytes=None, memory_percent=4.4, cpu_percent=41.0, state="running", health=None,
        )  # fmt: skip
        stopped = Container(
            service="locust-worker", index=self.workers + 1, name=f"locust-locust-worker-{self.workers + 1}",
            id="e" * 12, state="exited", exit_code=0, restarts=0, project=PROJECT, oom_kills=0,
            exit_reason="stopped", memory_limit_bytes=512 * MIB,
        )  # fmt: skip
        return (*workers, *service, stopped, database)

    def snapshot(self, at: datetime) -> Snapshot:
        """Make the Snapshot of a moment."""
        containers, users = self.containers(at), self.users(at)
        rows = tuple(container for container in containers if container.project == PROJECT)
        members = tuple(
            Worker(f"{container.id}_ab", container.name, "running", int(users / self.workers), 30.0, 60 * MIB)
            for container in containers
            if container.service == "locust-worker" and container.state == "running"
        )
        return Snapshot(
            project=PROJECT, at=at, stale=False, interval_seconds=2.0, engine_read_at=at, round_seconds=0.2,
            run=RunStatus(RUN_ID, "running", self.began + timedelta(minutes=25)), services=services(rows),
            containers=containers,
            locust=Locust(
                "running", int(users), self.rps(at), 3.2, 0.0123, 12.0, 148.0, self.workers, self.workers, members
            ),
            host=Host(71.2, 2, 3.4, 9 * GIB, 24 * GIB, 37.5, 0.0, 1_200_000.0, 3_400_000.0, 560_000.0, 62.0),
            warnings=(Warn("warn", f"locust-worker-{THROTTLED} is throttled: 23 % of its periods"),),
            logs=self.lines(at, "locust-locust-master-1", "locust-master", 8)[::-1],
            verdict=VerdictSoFar("INVALID", (f"locust-worker-{LEAKING} was OOM-killed 9 times during the run",
                                        f"locust-worker-{THROTTLED} was throttled for 6 minutes")),
            failures=(
                Failure("GET", "/basket", "HTTPError('500 Server Error: Internal Server Error')", 314, at, at),
                Failure("POST", "/checkout", "ConnectionRefusedError(111, 'Connection refused')", 12, at, at),
            ),
            endpoints=(
                EndpointStats("GET", "/", 120_412, 0, 310.4, 22.0),
                EndpointStats("GET", "/basket", 40_118, 314, 101.9, 148.0),
                EndpointStats("POST", "/checkout", 9_870, 12, 25.2, 412.0),
            ),
            incidents=tuple(map(without_evidence, self.newest()[:50])), blind=self.blind, watched=OTHER_PROJECT,
        )  # fmt: skip

    def newest(self) -> tuple[Incident, ...]:
        """Return all incidents, newest first."""
        return tuple(sorted(self.incidents.values(), key=lambda incident: incident.at, reverse=True))

    def lines(self, at: datetime, container: str, service: str, count: int) -> tuple[LogLine, ...]:
        """Make log lines up to a moment, newest first."""
        texts = (
            "[2026-11-22 15:03:45,522] 3f2e/INFO/locust.runners: 0003_ab reported as ready. 8 workers connected.",
            "[2026-11-22 15:03:49,001] 3f2e/WARNING/root: CPU usage above 90%! This may constrain your throughput",
            "GET /basket took 212 ms",
            "[2026-11-22 15:03:53,002] 3f2e/ERROR/locust.runners: Worker 0003_ab failed to send heartbeat",
            "MemoryError while decoding <img src=x onerror=alert(1)>",
        )
        start = int(at.timestamp()) // 3
        return tuple(
            LogLine(datetime.fromtimestamp((start - number) * 3, UTC), service, container, texts[(start - number) % 5])
            for number in range(count)
        )

    def oom_kill(self, index: int, at: datetime) -> Incident:
        """Make the incident of one OOM kill, with all of its evidence."""
        name = f"locust-locust-worker-{index}"
        samples = tuple(
            MemorySample(
                before := at - timedelta(seconds=2 * number), used := self.used_bytes(index, before), used + 14 * MIB
            )
            for number in range(30, 0, -1)
        )
        lines = tuple(line.text for line in self.lines(at, name, "locust-worker", 50)[::-1])
        return Incident(
            id=identity(IncidentKind.OOM_KILL, f"{index:064x}", "", int(at.timestamp() * 1e9)),
            kind=IncidentKind.OOM_KILL,
            severity=Severity.ERROR, at=at, until=at, state=FINAL, revision=2,
            text=f"locust-worker-{index} was OOM-killed at 498 MiB; {400 // self.workers} users went with it",
            project=PROJECT, service="locust-worker", container=name, container_id=f"{index:064x}",
            reason=ExitReason.OOM,
            exit_code=137, process_survived=False, count=1, raw_events=1, memory_at_death_bytes=498 * MIB,
            memory_peak_bytes=512 * MIB, memory_limit_bytes=512 * MIB, workers=(f"{index:012x}_ab",),
            users_lost=400 // self.workers, run_id=RUN_ID,
            evidence=(
                EvidenceItem("oom_event", "the engine sent 1 oom event", at),
                EvidenceItem("kernel_counter", "memory.oom_control of its cgroup went from 0 to 1", at),
                EvidenceItem("exit", "main process ended with 137 after 3m 58s", at + timedelta(milliseconds=80)),
                EvidenceItem("memory", "the last minute", samples=samples),
                EvidenceItem("log", "its last 50 lines", lines=lines),
            ),
        )  # fmt: skip

    def throttled(self, at: datetime) -> Incident:
        """Make an incident that goes on."""
        return Incident(
            id="throttled0000001", kind=IncidentKind.THROTTLED, severity=Severity.WARN, at=at, state=FINAL,
            text=f"locust-worker-{THROTTLED} is throttled: its latencies are not the target's",
            project=PROJECT, service="locust-worker", container=f"locust-locust-worker-{THROTTLED}",
            container_id=f"{THROTTLED:064x}",
        )  # fmt: skip

    def worker_left(self, at: datetime) -> Incident:
        """Make an incident that only explains."""
        return Incident(
            id="workerleft000001", kind=IncidentKind.WORKER_LEFT, severity=Severity.INFO, at=at, until=at, state=FINAL,
            text=f"locust-worker-{self.workers + 1} was stopped by a person; its users were spread over the others",
            project=PROJECT, service="locust-worker", container=f"locust-locust-worker-{self.workers + 1}",
            reason=ExitReason.STOPPED,
        )  # fmt: skip
