"""`report`: the list of runs, or the report of one of them made anew from what is on the disk, and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sidecar.commands import record, reports, saving
from sidecar.common.errors import KitError, SettingError
from sidecar.report.verdict.judge import last_line
from sidecar.stack import limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.common.console import Console
    from sidecar.settings import Settings

LAST = "last"
_JUDGING = ("THRESHOLDS", "THRESHOLDS_FILE", "FAIL_RATIO", "GENERATOR_CPU", "GENERATOR_THROTTLED")
_MOST_CHANGES = 20


def document(settings: Settings, environ: Mapping[str, str]) -> dict[str, Any]:
    """The report of RUN, made anew; without RUN the list of all.

    Raises:
        KitError: there is no such run, or nobody can tell.

    """
    if not settings.run:
        return {"schema_version": 1, "runs": record.runs(settings)}
    return record.report(
        settings,
        _resolved(settings, "RUN", settings.run),
        may_go_on=True,
        anew=True,
        judge=_words(settings, environ),
        baseline=_resolved(settings, "BASELINE", settings.baseline),
        users=settings.users if settings.said_now("USERS") else 0,
    )


def report(settings: Settings, environ: Mapping[str, str], say: Console) -> int:
    """List the runs, or make one's report anew; 0 whatever the verdict is.

    Raises:
        KitError: there is no such run, or nobody can tell.

    """
    found = document(settings, environ)
    if not settings.run:
        return _list(settings, found["runs"], say)
    reports.probe(settings.reports_dir)
    folder = settings.reports_dir / str(found["run_id"])
    try:
        folder.mkdir(exist_ok=True)
        saving.write(folder, settings, found, (), environ)
    except OSError as error:
        raise KitError(f"the report cannot be written: {error.strerror or error}", where=str(folder)) from None
    for line in _lines(found):
        say.line(line)
    say.line(f"report: {folder}")
    word, code = str(found["verdict"]), int(found["exit_code"])
    say.line(f"{word} so far" if found["state"] == "going" else last_line(word, code))
    return 0


def _words(settings: Settings, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """By what to judge, when this call says so; None for the run's own."""
    if not any(map(settings.said_now, _JUDGING)):
        return None
    return limits.words(settings, limits.thresholds(settings, environ))


def _resolved(settings: Settings, name: str, text: str) -> str:
    if text != LAST:
        return text
    newest = next(iter(record.runs(settings)), None)
    if newest is None:
        raise SettingError(f"{name} is {LAST!r}, but there is no run yet", fix="make run")
    return str(newest["run_id"])


def _list(settings: Settings, found: Sequence[Mapping[str, Any]], say: Console) -> int:
    if not found:
        say.line(f"no run of the stack {settings.project!r} yet → make run{settings.project_word}")
        return 0
    for line in reports.table([_row(one) for one in found]):
        say.line(line)
    say.line(f"one of them: make report RUN={found[0]['run_id']}{settings.project_word}")
    return 0


def _row(one: Mapping[str, Any]) -> reports.ReportRow:
    word = str(one["verdict"]) if one["state"] != "going" else f"{one['verdict']} so far"
    return reports.ReportRow(str(one["run_id"]), word, one, str(one.get("host") or ""))


def _lines(found: Mapping[str, Any]) -> list[str]:
    """The gist of a report."""
    lines = list(found["reasons"])
    lines.append(found["attribution"]["text"])
    compared = found.get("comparison")
    if compared:
        lines += [f"against {compared['baseline']}: {compared['text']}"]
        lines += [f"  {change['text']}" for change in compared["changes"][:_MOST_CHANGES]]
    advice = (found["capacity"] or {}).get("advice") or []
    return [
        *lines,
        *(f"for {one['users']} users: {one['settings']} ({one['confidence']}: {one['why']})" for one in advice),
    ]
