"""Size larger runs from a run: the cost of a user and of a request, and the settings for more users. Pure.

The estimate is linear. Memory is measured from idle workers to their peak, CPU while all users were running. Each
estimate has a confidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, median

from sidecar.common.units import MIB, plural
from sidecar.model.history import RecordedSeries
from sidecar.model.run_record import Moment
from sidecar.model.snapshot import WORKER

_STEADY = 0.9  # of the most users
_CORE_SHARE = 0.7  # the largest share of a core for a worker: beyond it, Locust's times grow
_MEMORY_SHARE = 0.75  # of its limit
_SMALLEST_LIMIT_MIB = 128
_STEP_MIB = 64
_SURE_USERS, _SURE_SECONDS, _SURE_FACTOR = 50, 60.0, 5.0  # users per worker, steady seconds, multiple of the users


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run showed.

    Attributes:
        users: the peak number of users.
        workers: the number of worker containers.
        rps: requests per second while all users were running.
        base_bytes: a worker's memory before its users.
        bytes_per_user: what each user adds to it; at least 0.
        cpu_per_user: cores a user takes, in all workers together.
        cpu_per_request_ms: CPU time a request takes; None without requests.
        steady_seconds: for how long nearly all users were running.

    """

    users: int
    workers: int
    rps: float
    base_bytes: float
    bytes_per_user: float
    cpu_per_user: float
    cpu_per_request_ms: float | None
    steady_seconds: float


@dataclass(frozen=True, slots=True)
class Advice:
    """Settings for a number of users, the first limit, and the confidence (fair or rough)."""

    users: int
    workers: int
    worker_memory_mib: int
    first_limit: str
    cores: float
    confidence: str
    why: str

    @property
    def settings(self) -> str:
        """The settings as on the command line."""
        return f"WORKERS={self.workers} WORKER_MEMORY={self.worker_memory_mib}M"


def measure(moments: Sequence[Moment], series: Sequence[RecordedSeries]) -> Measured | None:
    """Return the measured figures; None if nobody watched the workers, or without users."""
    users = max((moment.users for moment in moments), default=0)
    steady = [moment for moment in moments if moment.users >= _STEADY * users]
    workers = [container for container in series if container.service == WORKER and len(container.points) > 1]
    if not users or not workers or len(steady) <= 1:
        return None
    since, until = steady[0].at, steady[-1].at
    base = median([worker.points[0].working_set_bytes for worker in workers])
    peak = median([max(point.working_set_max_bytes for point in worker.points) for worker in workers])
    cores = sum(_mean_cpu(worker, since, until) for worker in workers) / 100
    rps = fmean(moment.rps for moment in steady)
    return Measured(
        users,
        len(workers),
        rps,
        base,
        max(0.0, (peak - base) * len(workers) / users),
        cores / users,
        1000 * cores / rps if rps else None,
        (until - since).total_seconds(),
    )


def _mean_cpu(series: RecordedSeries, since: datetime, until: datetime) -> float:
    known = [point.cpu_percent for point in series.points if since <= point.at <= until]
    return fmean([cpu for cpu in known if cpu is not None] or [0.0])


def advise(measured: Measured, users: int, limit_bytes: int | None, cores: int | None) -> Advice:
    """Return settings for a number of users with the same behaviour.

    Args:
        measured: what a run showed.
        users: how many.
        limit_bytes: the memory limit of its workers; None without a limit.
        cores: CPU cores of the machine; None if unknown.
    """
    need = measured.cpu_per_user * users
    by_cpu = max(1, math.ceil(need / _CORE_SHARE))
    by_memory = 1
    if limit_bytes and measured.bytes_per_user:
        room = max(MIB, _MEMORY_SHARE * limit_bytes - measured.base_bytes)
        by_memory = max(1, math.ceil(users * measured.bytes_per_user / room))
    workers = max(by_cpu, by_memory)
    memory = (measured.base_bytes + measured.bytes_per_user * users / workers) / _MEMORY_SHARE
    mib = max(_SMALLEST_LIMIT_MIB, _STEP_MIB * math.ceil(memory / MIB / _STEP_MIB))
    doubts = list(_doubts(measured, users))
    return Advice(
        users,
        workers,
        mib,
        _first_limit(need, cores, by_cpu, by_memory),
        round(need, 2),
        "rough" if doubts else "fair",
        "; ".join(doubts) or "the run was long and large enough",
    )


def _first_limit(need: float, cores: int | None, by_cpu: int, by_memory: int) -> str:
    if cores is not None and need > _CORE_SHARE * cores:
        return f"the machine's {plural(cores, 'CPU core')}: sending alone needs {need:.1f}"
    return "memory of a worker" if by_memory > by_cpu else "CPU of a worker"


def _doubts(measured: Measured, users: int) -> Sequence[str]:
    each = measured.users / max(1, measured.workers)
    doubts = []
    if each < _SURE_USERS:
        doubts.append(f"only {plural(round(each), 'user')} per worker, so the memory per user is uncertain")
    if measured.steady_seconds < _SURE_SECONDS:
        doubts.append(f"all users were running for only {measured.steady_seconds:.0f} s")
    if users > _SURE_FACTOR * measured.users:
        doubts.append(f"{users} users are {users / measured.users:.0f} times as many as in this run")
    return doubts
