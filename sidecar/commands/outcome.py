"""The end of a run: judged, saved on the host, told. The verdict comes out whatever becomes of the report."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from sidecar.commands import record, saving, seen, summary
from sidecar.common.errors import KitError
from sidecar.common.version import KIT_VERSION
from sidecar.report.document import make
from sidecar.report.verdict.judge import last_line
from sidecar.stack import limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.commands.seen import FinishedRun
    from sidecar.common.console import Console
    from sidecar.locust_api.client import LocustApi
    from sidecar.settings import Settings


def report(web: LocustApi, settings: Settings, done: FinishedRun, environ: Mapping[str, str], say: Console) -> int:
    """Judge a run that is over, save its report and tell of it; return the verdict's exit code."""
    document = _of_disk(settings, done, say) or make(
        seen.record_of(web, settings, done), settings.project, os.cpu_count(), KIT_VERSION
    )
    _show_figures(done, say)
    say.line()
    downloads = iter(()) if done.seen.master_lost else web.downloads()  # a new master's would be of no run
    say.line(f"report: {saving.save_anew(settings, document, downloads, environ)}")
    saving.append_summary(environ.get("GITHUB_STEP_SUMMARY", ""), document, say)
    _show_verdict(done, document, say)
    return int(document["exit_code"])


def _of_disk(settings: Settings, done: FinishedRun, say: Console) -> dict[str, Any]:
    """Return the report from what the plugin and the monitor wrote down; empty for a master without the plugin."""
    run_id = done.plugin_run_id or record.newest_since(settings, done.started_at)
    if not run_id:
        return {}
    words = limits.words(settings, done.thresholds) if settings.attach else None
    try:
        found = record.report(settings, run_id, judge=words)
    except KitError as error:
        say.note(f"judged by what was seen from here: {error.line()}")
        return {}
    return {} if found["state"] == "going" else found


def _show_figures(done: FinishedRun, say: Console) -> None:
    width = shutil.get_terminal_size((100, 24)).columns
    say.line()
    for line in summary.table(done.seen.figures, width):
        say.line(line)
    failures = summary.failure_lines(done.seen.figures, width)
    for line in ["", *failures] if failures else []:
        say.line(line)


def _show_verdict(done: FinishedRun, document: Mapping[str, Any], say: Console) -> None:
    short = "" if done.plan.shape_class else summary.users_taken_along(done.seen, done.plan.users)
    for line in [short, *document["reasons"]] if short else document["reasons"]:
        say.line(line)
    say.line(last_line(str(document["verdict"]), int(document["exit_code"])))
