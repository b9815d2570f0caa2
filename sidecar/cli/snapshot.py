"""The verbs that print the monitor's Snapshot: all of it as JSON, or whether its endpoints answer."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from sidecar.client.reader import first_snapshot
from sidecar.common import strict_json, units
from sidecar.common.errors import StackError
from sidecar.common.text import aligned
from sidecar.model import document
from sidecar.stack import deployment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.cli.verbs import Flags
    from sidecar.common.console import Console
    from sidecar.model.snapshot import Health, Snapshot
    from sidecar.settings import Settings

_PATIENCE_SECONDS = 15.0  # a command that is run once can wait for a machine that is busy
_COLUMNS = ("", "ENDPOINT", "ANSWER", "TOOK", "SINCE", "UP (24 H)", "URL")


def snapshot(settings: Settings, _environ: Mapping[str, str], _console: Console, _flags: Flags) -> None:
    """Print the Snapshot as JSON: indented on a terminal, one line into a pipe.

    Raises:
        StackError: the stack is down.

    """
    reader = deployment.reader(settings, _PATIENCE_SECONDS)
    first_snapshot(reader, settings.project)  # for its errors: no stack, or another one
    written = reader.document().decode()  # as it came, with fields that this command may be too old to know
    print(strict_json.dumps(json.loads(written), indent=2, ensure_ascii=False) if sys.stdout.isatty() else written)


def health(settings: Settings, _environ: Mapping[str, str], _console: Console, flags: Flags) -> int:
    """Print one line an endpoint. Return 1 when one of them does not answer.

    Raises:
        StackError: the stack is down, or its sidecar asks nobody.

    """
    seen = first_snapshot(deployment.reader(settings, _PATIENCE_SECONDS), settings.project)
    if not seen.health:
        why = "it has only just started" if settings.health_seconds else "HEALTH_SECONDS is 0"
        raise StackError(f"the sidecar has asked nobody: {why}", fix="make health, in a moment")
    passed = all(endpoint.passed for endpoint in seen.health)
    if flags["--json"]:
        rows = json.loads(document.dumps(seen.health))
        print(strict_json.dumps({"schema_version": 1, "at": rows[0]["at"], "passed": passed, "endpoints": rows}))
    else:
        print("\n".join(aligned([_COLUMNS, *(_cells(endpoint, seen) for endpoint in seen.health)])))
    return 0 if passed else 1


def _cells(endpoint: Health, seen: Snapshot) -> tuple[str, ...]:
    return (
        "✓" if endpoint.passed else "✗",
        endpoint.name,
        str(endpoint.status) if endpoint.passed else endpoint.error,
        units.milliseconds(endpoint.response_ms),
        units.duration((seen.at - endpoint.since).total_seconds()),
        units.percent(endpoint.uptime_percent, 2),
        endpoint.url,
    )
