"""The verbs that print what Docker and the disk hold: containers, logs, runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sidecar.common import strict_json
from sidecar.common.errors import SettingError, StackError
from sidecar.common.text import aligned
from sidecar.common.visible_text import harmless
from sidecar.engine.docker_engine import ListedContainer, connect
from sidecar.model.snapshot import MASTER, WORKER
from sidecar.stack import as_decided, workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.cli.verbs import Flags
    from sidecar.common.console import Console
    from sidecar.settings import Settings

_CONTAINER_COLUMNS = ("CONTAINER", "SERVICE", "STATUS", "PORTS")
SERVICES = ("locust-master", "locust-worker", "monitor", "docker-proxy", "gate", "mock-target")
_SHORT_NAMES = {"master": "locust-master", "worker": "locust-worker", "workers": "locust-worker", "mock": "mock-target"}
_TAIL = 100
_ALIVE = frozenset({"running", "restarting", "paused", "created"})


def ps(settings: Settings, environ: Mapping[str, str], _console: Console, flags: Flags) -> None:
    """Print the containers, one line each.

    Raises:
        StackError: the stack has no containers, or no master or worker that runs.

    """
    engine = connect(environ)
    containers = sorted(engine.containers(settings.project), key=_by_service_and_number)
    if not containers:
        raise StackError(f"the stack {settings.project!r} has no containers", fix="make up")
    if flags["--json"]:
        keys = ("name", "service", "id", "state", "status")
        rows = [{key: getattr(each, key) for key in keys} | {"id": each.id[:12]} for each in containers]
        print(strict_json.dumps({"schema_version": 1, "project": settings.project, "containers": rows}))
        return
    cells = [(container.name, container.service, container.status, _ports(container)) for container in containers]
    print("\n".join(aligned([_CONTAINER_COLUMNS, *cells])))
    for difference in as_decided.differences(engine, containers, settings):
        print(f"made by another command: {harmless(difference.text)} → make up{settings.project_word}")
    if not any(container.state in _ALIVE and container.service in (MASTER, WORKER) for container in containers):
        raise StackError(f"the stack {settings.project!r} is not running", fix=f"make up{settings.project_word}")


def _by_service_and_number(container: ListedContainer) -> tuple[str, int, str]:
    tail = container.name.rpartition("-")[2]
    return container.service, int(tail) if tail.isdigit() else 0, container.name


def _ports(container: ListedContainer) -> str:
    return ", ".join(f"{address}:{port}" for address, port in sorted(set(container.ports)))


def logs(settings: Settings, environ: Mapping[str, str], _console: Console) -> int:
    """Print the logs; with FOLLOW=1 until Ctrl-C.

    Raises:
        SettingError: unknown SERVICE.

    """
    service = _SHORT_NAMES.get(settings.service, settings.service)
    if service and service not in SERVICES:
        raise SettingError(f"SERVICE is {settings.service!r}", wanted=f"one of {', '.join(SERVICES)}")
    tail = settings.tail if settings.said_now("TAIL") else _TAIL
    compose = workspace.compose_for(settings, workspace.decided(settings), environ)
    follow = ["--follow"] if settings.follow else []
    # Without --timestamps: Locust's lines bring their own time.
    command = ["--profile", "mock", "logs", "--tail", str(tail), *follow, *([service] if service else [])]
    return compose.print_plain("--ansi", "never", *command, out=sys.stdout)  # Compose erases lines even so


def report(settings: Settings, environ: Mapping[str, str], console: Console, flags: Flags) -> int:
    """List the runs, or make the report of one again. Return 0 whatever the verdict is."""
    from sidecar.commands import report as run_report  # noqa: PLC0415  costs more than the rest of `ps`

    if not flags["--json"]:
        return run_report.report(settings, environ, console)
    print(strict_json.dumps(run_report.document(settings, environ)))
    return 0


def reports(settings: Settings, _environ: Mapping[str, str], _console: Console, flags: Flags) -> None:
    """Print one line for each run; with --json the documents themselves."""
    from sidecar.commands import reports as run_reports  # noqa: PLC0415  of this verb alone

    runs = run_reports.all_runs(settings.reports_dir)
    if flags["--json"]:
        print(strict_json.dumps({"schema_version": 1, "runs": [report_document for _, report_document in runs]}))
    elif runs:
        print("\n".join(run_reports.table([run_reports.ReportRow.of(run) for run in runs])))
    else:
        print(f"no reports in {settings.reports_dir} yet → make run")
