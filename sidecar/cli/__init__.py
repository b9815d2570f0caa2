"""The host command line, one module a verb. Each has NAME, HELP and run(args, environ) -> exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Verb → module. A table rather than a search: a command line that imports all its verbs starts slowly.
VERBS: Mapping[str, str] = {
    "up": "sidecar.cli.up",
    "join": "sidecar.cli.join",
    "down": "sidecar.cli.down",
    "restart": "sidecar.cli.restart",
    "reload": "sidecar.cli.reload",
    "scale": "sidecar.cli.scale",
    "ps": "sidecar.cli.ps",
    "logs": "sidecar.cli.logs",
    "monitor": "sidecar.cli.monitor",
    "snapshot": "sidecar.cli.snapshot",
    "health": "sidecar.cli.health",
    "incidents": "sidecar.cli.incidents",
    "diagnose": "sidecar.cli.diagnose",
    "selftest": "sidecar.cli.selftest",
    "run": "sidecar.cli.run",
    "try": "sidecar.cli.try_once",
    "capacity": "sidecar.cli.capacity",
    "report": "sidecar.cli.report",
    "reports": "sidecar.cli.reports",
    "swarm-up": "sidecar.cli.swarm_up",
    "swarm-scale": "sidecar.cli.swarm_scale",
    "swarm-down": "sidecar.cli.swarm_down",
    "swarm-monitor": "sidecar.cli.swarm_monitor",
    "swarm-diagnose": "sidecar.cli.swarm_diagnose",
    "clean": "sidecar.cli.clean",
    "purge": "sidecar.cli.purge",
    "targets": "sidecar.cli.targets",
    "serve": "sidecar.cli.serve",
}
