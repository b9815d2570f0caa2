"""`health`: whether master, statistics, sidecar, target and HEALTH_URLS answer; the exit code says whether all do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sidecar.client.reader import first_snapshot
from sidecar.common import units
from sidecar.common.errors import StackError
from sidecar.model import document
from sidecar.settings import refuse_flags
from sidecar.stack import deployment, workspace
from sidecar.views.aligned import aligned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.model.snapshot import Health, Snapshot

NAME = "health"
HELP = "whether master, statistics, sidecar, target and HEALTH_URLS answer (exit 0: all, 1: not all, 2: nobody to ask)"
_PATIENCE_SECONDS = 15.0
_HEADER = ("", "ENDPOINT", "ANSWER", "TOOK", "SINCE", "UP (24 H)", "URL")


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Print one line an endpoint, with --json the same as a document; 1 when one of them does not answer.

    Raises:
        StackError: the stack is down, or its sidecar asks nobody.

    """
    refuse_flags(args, NAME, ("--json",))
    workspace.refuse_arguments(args, NAME)
    settings = workspace.settings_after_up(args, environ)
    snapshot = first_snapshot(deployment.reader(settings, _PATIENCE_SECONDS), settings.project)
    if not snapshot.health:
        why = "it has only just started" if settings.health_seconds else "HEALTH_SECONDS is 0"
        raise StackError(f"the sidecar has asked nobody: {why}", fix="make health, in a moment")
    if "--json" in args:
        found = json.loads(document.dumps(snapshot.health))
        print(json.dumps({"schema_version": 1, "at": found[0]["at"], "passed": _passed(snapshot), "endpoints": found}))
    else:
        for text in table(snapshot.health, snapshot):
            print(text)
    return 0 if _passed(snapshot) else 1


def _passed(snapshot: Snapshot) -> bool:
    return all(one.passed for one in snapshot.health)


def table(health: Sequence[Health], snapshot: Snapshot) -> list[str]:
    """One line an endpoint."""
    return aligned([_HEADER, *(_row(one, snapshot) for one in health)])


def _row(health: Health, snapshot: Snapshot) -> tuple[str, ...]:
    answer = str(health.status) if health.passed else health.error
    lasted = units.duration(max(0.0, (snapshot.at - health.since).total_seconds()))
    uptime = "–" if health.uptime_percent is None else f"{health.uptime_percent:.2f}%"
    return (
        "✓" if health.passed else "✗",
        health.name,
        answer,
        units.milliseconds(health.response_ms),
        lasted,
        uptime,
        health.url,
    )
