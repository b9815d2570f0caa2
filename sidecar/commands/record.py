"""The report of a run from what is on the disk of it: asked of the sidecar, or of a helper container without one."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sidecar.client.reader import MonitorError, UnknownError
from sidecar.common.errors import KitError
from sidecar.common.times import parse_time
from sidecar.stack import deployment

if TYPE_CHECKING:
    from sidecar.settings import Settings

IMAGE = "locust-kit/monitor:local"

_TIMEOUT_SECONDS = 30.0
_PATIENCE_SECONDS, _EACH_SECONDS = 25.0, 0.5  # a master that broke off is given up after 15 s
_HELPER_SECONDS = 60
_CLOCKS_APART = timedelta(seconds=5)
_SCHEMA = 1


class NoRecordError(KitError):
    """Nothing can be told of a run from the disk; the text says why."""


def report(
    settings: Settings,
    run_id: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
    may_go_on: bool = False,
    **ask: object,
) -> dict[str, Any]:
    """The report of a run, once nothing in it may change any more, or after a while.

    Args:
        settings: where the stack is.
        run_id: the run's id.
        sleep: waits.
        may_go_on: whether the report of a run that is seen to go on is wanted at once.
        ask: how it is to be, by the names of runs.reports.Ask.

    Raises:
        NoRecordError: neither a sidecar nor a helper container can tell.

    """
    found = _asked(settings, run_id, ask)
    for _ in range(int(_PATIENCE_SECONDS / _EACH_SECONDS)):
        if found["settled"] and found["state"] != "going":
            break
        sleep(_EACH_SECONDS)
        before, found = found, _asked(settings, run_id, ask)
        if may_go_on and found["state"] == "going" and found["ended_at"] != before["ended_at"]:
            break
    return found


def _asked(settings: Settings, run_id: str, ask: Mapping[str, object]) -> dict[str, Any]:
    query = {name: _in_query(value) for name, value in ask.items() if value}
    reader = deployment.reader(settings, _TIMEOUT_SECONDS)
    try:
        found = _read(reader.run(run_id, **query))
    except UnknownError as error:
        raise NoRecordError(f"the sidecar knows of no run {run_id}: {error}", fix="make report") from None
    except MonitorError as error:
        return _read(_by_helper(settings, str(error), run_id, json.dumps(ask)))
    finally:
        reader.close()
    if found["project"] != settings.project:
        return _read(_by_helper(settings, "another stack's sidecar answers", run_id, json.dumps(ask)))
    return found


def runs(settings: Settings) -> list[dict[str, Any]]:
    """All runs that left a folder, newest first, in short.

    Raises:
        NoRecordError: neither a sidecar nor a helper container can tell.

    """
    reader = deployment.reader(settings, _TIMEOUT_SECONDS)
    try:
        body = reader.runs()
    except MonitorError as error:
        body = _by_helper(settings, str(error))
    finally:
        reader.close()
    found = json.loads(body)
    return sorted(found.get("runs") or [], key=lambda run: str(run["run_id"]), reverse=True)


def newest_since(settings: Settings, since: datetime) -> str:
    """The id of the newest run that began then or later; "" for none, or when nobody can tell."""
    try:
        newest = next(iter(runs(settings)), None)
    except NoRecordError:
        return ""
    if newest is None or parse_time(str(newest["started_at"])) < since - _CLOCKS_APART:
        return ""
    return str(newest["run_id"])


def _in_query(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value)


def _read(body: bytes) -> dict[str, Any]:
    found = json.loads(body)
    if not isinstance(found, dict) or found.get("schema_version") != _SCHEMA or "verdict" not in found:
        told = found.get("error") if isinstance(found, dict) else None
        raise NoRecordError(str(told or "what answers is no report of a run"))
    return found


def _by_helper(settings: Settings, why: str, *words: str) -> bytes:
    if deployment.is_swarm(settings):
        raise NoRecordError(
            f"the leading sidecar does not tell: {why}", fix=f"make swarm-diagnose{settings.project_word}"
        )
    """What a short-lived container reads from the volumes; it writes nothing but what SQLite needs to read."""
    project = settings.project
    command = [
        *("docker", "run", "--rm", "--network", "none", "--pull", "never"),
        *(
            "--label",
            "io.locust-kit.role=report",
            "--env",
            f"PROJECT={project}",
            "--env",
            f"INTERVAL={settings.interval:g}",
        ),
        *("--volume", f"{project}_runs:/var/lib/locust-kit/runs"),
        *("--volume", f"{project}_ledger:/var/lib/locust-kit/ledger"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges:true", "--memory", "512m"),
        *("--entrypoint", "python3", IMAGE, "-m", "sidecar.report.runs", *words),
    ]
    volumes = subprocess.run(
        ["docker", "volume", "inspect", f"{project}_runs"], capture_output=True, timeout=_HELPER_SECONDS, check=False
    )
    if volumes.returncode:
        raise NoRecordError(f"no sidecar answers ({why}), and there is no volume {project}_runs", fix="make up")
    try:
        done = subprocess.run(command, capture_output=True, timeout=_HELPER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NoRecordError(f"no sidecar answers ({why}), and a helper container did not end in time") from None
    if not done.stdout.strip():
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
        raise NoRecordError(f"no sidecar answers ({why}), nor can a helper container tell: {last}", fix="make up")
    return done.stdout
