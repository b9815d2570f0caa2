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


def _order(one: ListedContainer) -> tuple[str, int, str]:
    tail = one.name.rpartition("-")[2]
    return one.service, int(tail) if tail.isdigit() else 0, one.name


def _ports(one: ListedContainer) -> str:
    return ", ".join(f"{address}:{port}" for address, port in sorted(set(one.ports)))


def _json(one: ListedContainer) -> dict[str, object]:
    return {"name": one.name, "service": one.service, "id": one.id[:12], "state": one.state, "status": one.status}
