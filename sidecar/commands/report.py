"""`report`: list the runs, or make the report of one run again from the disk, and compare it.

The monitor gives the data. Without a monitor, a helper container reads the volumes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sidecar.client.reader import MonitorError, UnknownError
from sidecar.commands import reports
from sidecar.common import strict_json
from sidecar.common.console import Console
from sidecar.common.errors import KitError, SettingError, StackError
from sidecar.common.times import parse_time
from sidecar.common.visible_text import visible
from sidecar.report.verdict.judge import last_line
from sidecar.settings import Settings
from sidecar.stack import deployment, limits
from sidecar.stack.docker_command import docker, last_words

IMAGE = "locust-kit/monitor:local"

_TIMEOUT_SECONDS = 30.0
_PATIENCE_SECONDS, _EACH_SECONDS = 25.0, 0.5  # after 15 s, an aborted master counts as gone
_CLOCKS_APART = timedelta(seconds=5)
_SCHEMA = 1
LAST = "last"
_JUDGING = (
    "THRESHOLDS",
    "THRESHOLDS_FILE",
    "FAIL_RATIO",
    "OUTAGE_RATIO",
    "TASK_ERROR_RATIO",
    "GENERATOR_CPU",
    "GENERATOR_THROTTLED",
    "GENERATOR_BLOCKED",
    "RATE_KEPT",
    "STUCK_SECONDS",
)
_MOST_CHANGES = 20


class NoRecordError(KitError):
    """The disk has no usable record of a run; the text has the reason."""


def fetch(
    settings: Settings,
    run_id: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
    may_go_on: bool = False,
    **ask: object,
) -> dict[str, Any]:
    """Return the report of a run, as soon as it is final, or after a while.

    Args:
        settings: the settings of the stack.
        run_id: the run's id.
        sleep: the function that waits.
        may_go_on: whether to return the report of an active run at once.
        ask: options of the report, by the names of `runs.reports.Ask`.

    Raises:
        NoRecordError: neither the monitor nor a helper container answers.

    """
    document = _asked(settings, run_id, ask)
    for _ in range(int(_PATIENCE_SECONDS / _EACH_SECONDS)):
        if document["settled"] and document["state"] != "going":
            break
        sleep(_EACH_SECONDS)
        before, document = document, _asked(settings, run_id, ask)
        if may_go_on and document["state"] == "going" and document["ended_at"] != before["ended_at"]:
            break
    return document


def _asked(settings: Settings, run_id: str, ask: Mapping[str, object]) -> dict[str, Any]:
    query = {name: _in_query(value) for name, value in ask.items() if value}
    reader = deployment.reader(settings, _TIMEOUT_SECONDS)
    try:
        document = _read(reader.run(run_id, **query))
    except UnknownError as error:
        raise NoRecordError(f"the monitor has no run {run_id}: {error}", fix="make report") from None
    except MonitorError as error:
        return _read(_by_helper(settings, str(error), run_id, strict_json.dumps(ask)))
    finally:
        reader.close()
    if document["project"] != settings.project:
        return _read(_by_helper(settings, "the monitor of another stack answers", run_id, strict_json.dumps(ask)))
    return document


def listing(settings: Settings) -> dict[str, Any]:
    """Return a summary of all runs with a folder, newest first, and the runs that cannot be read.

    Raises:
        NoRecordError: neither the monitor nor a helper container answers.

    """
    reader = deployment.reader(settings, _TIMEOUT_SECONDS)
    body: bytes | str
    try:
        body = reader.runs()
    except MonitorError as error:
        body = _by_helper(settings, str(error))
    finally:
        reader.close()
    listed = strict_json.loads(body)
    newest = sorted(listed.get("runs") or [], key=lambda run: str(run["run_id"]), reverse=True)
    return {"schema_version": _SCHEMA, "runs": newest, "unreadable": listed.get("unreadable") or []}


def runs(settings: Settings) -> list[dict[str, Any]]:
    """Return all runs that can be read, newest first, in short; raise what `listing` raises."""
    runs: list[dict[str, Any]] = listing(settings)["runs"]
    return runs


def newest_since(settings: Settings, since: datetime) -> str:
    """Return the id of the newest run that began then or later; "" without one, or without an answer."""
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
    return value if isinstance(value, str) else strict_json.dumps(value)


def _read(body: bytes | str) -> dict[str, Any]:
    document = strict_json.loads(body)
    if not isinstance(document, dict) or document.get("schema_version") != _SCHEMA or "verdict" not in document:
        error = document.get("error") if isinstance(document, dict) else None
        raise NoRecordError(str(error or "the answer is not a report of a run"))
    return document


def _by_helper(settings: Settings, why: str, *arguments: str) -> str:
    """Return the answer of a temporary container that reads the volumes; it writes only what SQLite needs."""
    if deployment.is_swarm(settings):
        raise NoRecordError(
            f"the leading monitor did not answer: {why}", fix=f"make swarm-diagnose{settings.project_word}"
        )
    project = settings.project
    command = (
        *("run", "--rm", "--network", "none", "--pull", "never", "--label", "io.locust-kit.role=report"),
        *("--env", f"PROJECT={project}", "--env", f"INTERVAL={settings.interval:g}"),
        *("--volume", f"{project}_runs:/var/lib/locust-kit/runs"),
        *("--volume", f"{project}_ledger:/var/lib/locust-kit/ledger"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges:true", "--memory", "512m"),
        *("--entrypoint", "python3", IMAGE, "-m", "sidecar.report.runs", *arguments),
    )
    try:
        if docker("volume", "inspect", f"{project}_runs").returncode:
            raise NoRecordError(
                f"the monitor did not answer ({why}), and the volume {project}_runs does not exist", fix="make up"
            )
        done = docker(*command)
    except StackError as error:
        raise NoRecordError(f"the monitor did not answer ({why}), and {error.what}", fix=error.fix) from None
    if not done.stdout.strip():
        last = last_words(done.stderr) or "no output"
        raise NoRecordError(f"the monitor did not answer ({why}), and a helper container failed: {last}", fix="make up")
    return done.stdout


def document(settings: Settings, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the report of RUN, made again; without RUN the list of all runs.

    Raises:
        KitError: there is no such run, or no answer.

    """
    if not settings.run:
        return listing(settings)
    return fetch(
        settings,
        _resolved(settings, "RUN", settings.run),
        may_go_on=True,
        anew=True,
        judge=_words(settings, environ),
        baseline=_resolved(settings, "BASELINE", settings.baseline),
        users=settings.users if settings.said_now("USERS") else 0,
    )


def report(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """List the runs, or make the report of one again; return 0 for every verdict.

    Raises:
        KitError: there is no such run, or no answer.

    """
    made = document(settings, environ)
    if not settings.run:
        for run in made["unreadable"]:
            console.line(f"warning: {run['reason']}")
        return _list(settings, made["runs"], console)
    reports.probe(settings.reports_dir)
    folder = settings.reports_dir / str(made["run_id"])
    try:
        folder.mkdir(exist_ok=True)
        reports.write(folder, settings, made, (), environ)
    except OSError as error:
        raise KitError(f"the report cannot be written: {error.strerror or error}", where=str(folder)) from None
    for line in _lines(made):
        console.line(visible(line))
    console.line(f"report: {folder}")
    word, code = str(made["verdict"]), int(made["exit_code"])
    console.line(f"{word} so far" if made["state"] == "going" else last_line(word, code))
    return 0


def _words(settings: Settings, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the limits of this call; None for the run's own limits."""
    if not any(map(settings.said_now, _JUDGING)):
        return None
    return limits.words(settings, limits.thresholds(settings, environ))


def _resolved(settings: Settings, name: str, text: str) -> str:
    if text != LAST:
        return text
    newest = next(iter(runs(settings)), None)
    if newest is None:
        raise SettingError(f"{name} is {LAST!r}, but the stack has no run yet", fix="make run")
    return str(newest["run_id"])


def _list(settings: Settings, listed: Sequence[Mapping[str, Any]], console: Console) -> int:
    if not listed:
        console.line(f"the stack {settings.project!r} has no run yet → make run{settings.project_word}")
        return 0
    for line in reports.table([_row(run) for run in listed]):
        console.line(line)
    console.line(f"report of one run: make report RUN={listed[0]['run_id']}{settings.project_word}")
    return 0


def _row(run: Mapping[str, Any]) -> reports.ReportRow:
    verdict = str(run["verdict"]) if run["state"] != "going" else f"{run['verdict']} so far"
    return reports.ReportRow(str(run["run_id"]), verdict, run, str(run.get("host") or ""))


def _lines(document: Mapping[str, Any]) -> list[str]:
    """Return the main lines of a report."""
    lines = [*(f"warning: {warning}" for warning in document["warnings"]), *document["reasons"]]
    lines.append(document["attribution"]["text"])
    compared = document.get("comparison")
    if compared:
        lines += [f"compared with {compared['baseline']}: {compared['text']}"]
        lines += [f"  {change['text']}" for change in compared["changes"][:_MOST_CHANGES]]
    advice = (document["capacity"] or {}).get("advice") or []
    return [
        *lines,
        *(
            f"for {advised['users']} users: {advised['settings']} ({advised['confidence']}: {advised['why']})"
            for advised in advice
        ),
    ]
