"""The master's status beyond Locust's own statistics: `GET <web base path>/locust-kit/status`."""

from __future__ import annotations

import os
from collections.abc import Callable
from heapq import nlargest
from operator import attrgetter
from typing import Any

from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner, Runner
from locust.stats import PERCENTILES_TO_CHART, StatsError

from locust_kit import SCHEMA_VERSION
from locust_kit.loaded_files import Digests, Disk, combined
from locust_kit.run_folder import RunIdentity
from locust_kit.timeline import processes_of


def _connected(runner: Runner | None) -> list[str]:
    """Return the ids of the connected workers, without the missing ones."""
    if not isinstance(runner, MasterRunner):
        return []
    return sorted(client.id for client in runner.clients.all if client.state != STATE_MISSING)


def users_by_class(runner: Runner | None) -> dict[str, int]:
    """Return the current number of users of each class, as the workers reported it."""
    if runner is None:
        return {}
    return dict(runner.reported_user_classes_count if isinstance(runner, MasterRunner) else runner.user_classes_count)


def _processes(runner: Runner | None, worker: str) -> int:
    client = runner.clients.get(worker) if isinstance(runner, MasterRunner) else None
    return processes_of(client) if client else 1


_MOST_ROWS = 20


def figures(environment: Environment, clean: Callable[[str], str]) -> dict[str, Any]:
    """Return Locust's `/stats/requests` with only its largest rows: in a long run it has megabytes.

    `clean` takes secrets out of a text.
    """
    runner, stats = environment.runner, environment.stats
    total = stats.total.to_dict()
    rows = nlargest(_MOST_ROWS, stats.entries.values(), attrgetter("num_requests"))
    errors = nlargest(_MOST_ROWS, stats.errors.values(), attrgetter("occurrences"))
    clients = runner.clients.values() if isinstance(runner, MasterRunner) else ()
    return {
        "state": runner.state if runner else STATE_MISSING,
        "user_count": runner.user_count if runner else 0,
        "current_rps": total["current_rps"],
        "current_fail_per_sec": total["current_fail_per_sec"],
        "fail_ratio": stats.total.fail_ratio,
        "current_response_time_percentiles": {
            f"response_time_percentile_{share}": stats.total.get_current_response_time_percentile(share)
            for share in PERCENTILES_TO_CHART
        },
        "stats": [*({**row.to_dict(), "name": clean(row.name)} for row in rows), total],
        "errors": [
            {**error.serialize(), "name": clean(error.name), "error": clean(StatsError.parse_error(error.error))}
            for error in errors
        ],
        "workers": [
            {name: getattr(client, name) for name in ("id", "state", "user_count", "cpu_usage", "memory_usage")}
            for client in clients
        ],
    }


def document(
    environment: Environment,
    run: RunIdentity | None,
    own: Digests,
    workers: dict[str, Digests],
    disk: Disk,
    clean: Callable[[str], str],
    host: str = "",
) -> dict[str, Any]:
    """Return the status document.

    `own` and `workers` have the files that each process loaded, `disk` the current files; `clean` removes secrets
    from a text; `host` is the master's host at its start.
    """
    shape = environment.shape_class
    return {
        "schema_version": SCHEMA_VERSION,
        "state": environment.runner.state if environment.runner else None,
        "figures": figures(environment, clean),
        "run": run.document() if run else None,
        "shape_class": type(shape).__name__ if shape else None,
        "user_classes": [
            {"name": user.__name__, "host": user.host, "weight": user.weight, "fixed_count": user.fixed_count}
            for user in environment.user_classes
        ],
        "users_by_class": users_by_class(environment.runner),
        "class_picker": bool(environment.web_ui and environment.web_ui.userclass_picker_is_active),
        "settings": {
            "host": host,
            "locustfile": os.environ.get("LOCUSTFILE", ""),
            "classes": os.environ.get("KIT_CLASSES", ""),
            "tags": os.environ.get("KIT_TAGS", ""),
            "exclude_tags": os.environ.get("KIT_EXCLUDE_TAGS", ""),
        },
        "locustfile": {"sha256": combined(own), "files": list(own), "changed_on_disk": disk.changed(own)},
        "workers_connected": _connected(environment.runner),
        "workers": {
            name: {
                "sha256": combined(digests),
                "changed_on_disk": disk.changed(digests),
                "processes": _processes(environment.runner, name),
            }
            for name, digests in workers.items()
        },
    }
