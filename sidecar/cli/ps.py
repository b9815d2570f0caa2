"""`ps`: the stack's containers, one line each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sidecar.common.errors import StackError
from sidecar.engine.host_client import ListedContainer, connect
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "ps"
HELP = "the stack's containers and their state"
_COLUMNS = ("CONTAINER", "SERVICE", "STATUS", "PORTS")


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Print the containers; exit 2 when there are none."""
    workspace.refuse_arguments(args, NAME)
    settings = workspace.settings_after_up(args, environ)
    found = sorted(connect(environ).containers(settings.project), key=_order)
    if not found:
        raise StackError(f"the stack {settings.project!r} has no container", fix="make up")
    if "--json" in args:
        print(json.dumps({"schema_version": 1, "project": settings.project, "containers": [_json(o) for o in found]}))
        return 0
    rows = [_COLUMNS, *((one.name, one.service, one.status, _ports(one)) for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _order(listed_container: ListedContainer) -> tuple[str, int, str]:
    tail = listed_container.name.rpartition("-")[2]
    return listed_container.service, int(tail) if tail.isdigit() else 0, listed_container.name


def _ports(listed_container: ListedContainer) -> str:
    return ", ".join(f"{address}:{port}" for address, port in sorted(set(listed_container.ports)))


def _json(listed_container: ListedContainer) -> dict[str, object]:
    return {
        "name": listed_container.name,
        "service": listed_container.service,
        "id": listed_container.id[:12],
        "state": listed_container.state,
        "status": listed_container.status,
    }
