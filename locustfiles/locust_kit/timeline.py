"""A run second by second in `timeline.ndjson`, one line of JSON for each: the base of the verdict and the charts.

Counts are since the run's start (or Locust's reset of its statistics), without requests after the end of the load.
Rates are Locust's rates of the last ten seconds. Other fields:

    dispatched_users: users that Locust gave to workers at its last ramp; less than target_users, the requested
        number, if all classes have a fixed_count.
    workers_expected: workers that the containers of the present workers should have, in worker_hosts containers.
    missing: ids of workers that the master no longer expects.
    over_cpu: workers with 90 % of a core or more, which Locust itself reports as too much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner, Runner, WorkerNode

from locust_kit import disk, strict_json
from locust_kit.run_folder import rfc3339

FILE = "timeline.ndjson"
MUCH_CPU_PERCENT = 90.0
_MOST_MISSING = 50


def append(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append all rows to the file, or no row. Raises OSError if the volume cannot be written."""
    lines = "".join(strict_json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    disk.append(folder / FILE, lines.encode())


def row(
    environment: Environment, at: datetime, classes: Mapping[Any, int], meters: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the row of this moment; `classes` has the failures so far by class, `meters` the workers' measurements."""
    total, after = environment.stats.total, meters.get("stopping") or {}
    runner = environment.runner
    return {
        "at": rfc3339(at),
        "state": runner.state if runner else "",
        "users": runner.user_count if runner else 0,
        "target_users": int(getattr(runner, "target_user_count", 0) or 0),
        "dispatched_users": _dispatched(runner),
        "requests": max(0, total.num_requests - after.get("requests", 0)),
        "failures": max(0, total.num_failures - after.get("failures", 0)),
        "rps": round(float(total.current_rps), 2),
        "fail_per_second": round(float(total.current_fail_per_sec), 2),
        "p50_ms": total.get_current_response_time_percentile(0.5),
        "p95_ms": total.get_current_response_time_percentile(0.95),
        "classes": {str(name): count for name, count in classes.items()},
        **_workers(runner),
        "meters": meters,
    }


def _dispatched(runner: Runner | None) -> int:
    """Return how many users Locust gave to workers; without workers, how many run."""
    own = getattr(runner, "_local_worker_node", None)
    by_class = own.user_classes_count if own else getattr(runner, "target_user_classes_count", None)
    return sum((by_class or {}).values())


def note_processes(runner: MasterRunner, worker: str, processes: int) -> None:
    """Note how many Locust processes a worker's container should have."""
    if client := runner.clients.get(worker):
        vars(client)["kit_processes"] = processes  # forgotten with the worker


def processes_of(worker: WorkerNode) -> int:
    """Return how many Locust processes the worker's container should have: 1 until the worker has reported it."""
    return int(getattr(worker, "kit_processes", 1))


def _expected(workers: Iterable[WorkerNode]) -> dict[str, int]:
    """Return how many workers the containers of these workers should have, and the number of containers.

    The ids of the workers of one container begin with its host name.
    """
    of_host: dict[str, int] = {}
    for worker in workers:
        host = worker.id.rpartition("_")[0]
        of_host[host] = max(processes_of(worker), of_host.get(host, 1))
    return {"workers_expected": sum(of_host.values()), "worker_hosts": len(of_host)}


def _workers(runner: Runner | None) -> dict[str, Any]:
    if not isinstance(runner, MasterRunner):
        percent = float(getattr(runner, "current_cpu_usage", 0) or 0)
        return {"workers": 0, "missing": [], "cpu_percent": percent, "over_cpu": int(percent >= MUCH_CPU_PERCENT)}
    workers = list(runner.clients.values())
    connected = [worker for worker in workers if worker.state != STATE_MISSING]
    cpu = [float(worker.cpu_usage or 0) for worker in connected]
    missing = sorted(worker.id for worker in workers if worker.state == STATE_MISSING)
    return {
        "workers": len(cpu),
        **_expected(connected),
        "missing": missing[:_MOST_MISSING],
        "cpu_percent": max(cpu, default=0.0),
        "over_cpu": sum(percent >= MUCH_CPU_PERCENT for percent in cpu),
        "master_cpu_percent": float(getattr(runner, "current_cpu_usage", 0) or 0),
    }
