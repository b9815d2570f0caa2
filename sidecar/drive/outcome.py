"""The end of a run: judged, saved on the host, told. The verdict comes out whatever becomes of the report."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.drive import account, limits, reports, summary, verdict, workspace
from sidecar.drive.verdict import Facts, Verdict
from sidecar.drive.web import Web, WebError
from sidecar.errors import KitError
from sidecar.report import junit, markdown
from sidecar.rules import thresholds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sidecar.drive.compose import Decided
    from sidecar.drive.follow import Seen
    from sidecar.drive.plan import Master, Plan
    from sidecar.drive.say import Say
    from sidecar.model.threshold import Threshold
    from sidecar.rules.thresholds import Judged
    from sidecar.settings import Settings

_LONGEST_EXCEPTION = 200  # characters


@dataclass(frozen=True)
class Run:
    """One finished run, as far as it is known here."""

    plan: Plan
    about: Master
    run_id: str
    seen: Seen
    started_at: datetime
    seconds: float
    ended_early: str
    thresholds: tuple[Threshold, ...] = ()


def report(
    web: Web, settings: Settings, done: Run, at_start: Mapping[str, Any], environ: Mapping[str, str], say: Say
) -> int:
    """Judge a run that is over, save its report and tell of it; the verdict's exit code.

    `at_start` are the master's figures from before the run.
    """
    seen = done.seen
    checked = _checked(web, done)
    judged = verdict.decide(
        Facts(
            requests=seen.requests,
            failures=seen.failures,
            fail_ratio_limit=limits.fail_ratio(settings, done.thresholds),
            workers_lost=len(seen.missing),
            master_lost=seen.master_lost,
            ended_early=done.ended_early,
            exception="" if seen.requests or seen.master_lost else _exception(web),
            incidents=account.by_incidents(settings, done.started_at),
            generator="" if seen.master_lost else account.by_generator(web),
            users_short=account.by_users(done),
            thresholds=checked,
            is_fatal=settings.on_invalid == "fail",
        )
    )
    document = _document(settings, done, judged, at_start) | {"judged": _judged(judged, checked)}
    _show_figures(done, say)
    say.line()
    downloads = iter(()) if seen.master_lost else web.downloads()  # a new master's would be of no run
    rendered = [("report.md", markdown.render(document).encode()), ("junit.xml", junit.render(document))]
    say.line(f"report: {_save(chain(downloads, rendered), settings, document, environ)}")
    _append_summary(environ.get("GITHUB_STEP_SUMMARY", ""), rendered[0][1], say)
    _show_verdict(done, judged, say)
    return judged.exit_code


def _checked(web: Web, done: Run) -> tuple[Judged, ...]:
    """What came of each threshold."""
    if not done.thresholds:
        return ()
    rows = thresholds.rows_of(summary.endpoints(done.seen.figures))
    try:
        times = {} if done.seen.master_lost else web.json("/locust-kit/performance.json")
    except (WebError, ValueError):
        times = {}
    return thresholds.judge(done.thresholds, rows, thresholds.spreads_of(times))


def _judged(judged: Verdict, checked: Iterable[Judged]) -> dict[str, Any]:
    """The verdict in parts, for programs."""
    return {
        "reasons": [{"text": text} for text in judged.broken],
        "thresholds": [
            {
                "threshold": one.threshold.text,
                "is_soft": one.threshold.is_soft,
                "limit": one.threshold.limit,
                "actual": one.actual,
                "samples": one.samples,
                "samples_wanted": one.samples_wanted,
                "is_known": one.is_known,
                "passed": one.passed,
                "text": one.text,
            }
            for one in checked
        ],
    }


def _append_summary(file: str, text: bytes, say: Say) -> None:
    """Add the report to the summary of a GitHub Actions job, where there is one."""
    if not file:
        return
    try:
        with Path(file).open("ab") as summary_file:
            summary_file.write(text)
    except OSError as error:
        say.note(f"GITHUB_STEP_SUMMARY {file} cannot be written: {error.strerror or error}")


def _save(
    downloads: Iterable[tuple[str, bytes]],
    settings: Settings,
    document: Mapping[str, Any],
    environ: Mapping[str, str],
) -> str:
    """Where the report is, or why there is none: the disk may have filled up since REPORTS_DIR was tried."""
    try:
        folder = reports.new_folder(settings.reports_dir, str(document["run_id"]))
        names = reports.save(folder, document, downloads)
        reports.hand_over([settings.reports_dir, folder, *(folder / name for name in names)], environ)
    except KitError as error:
        return f"not saved: {error.line()}"
    except OSError as error:
        return f"not saved: {error.strerror or error}: {error.filename or settings.reports_dir}"
    return str(folder)


def _exception(web: Web) -> str:
    """The most frequent of what users' code raised in this run, in one line; "" when the master knows of none."""
    try:
        found = web.json("/exceptions").get("exceptions") or []
    except (WebError, ValueError):
        return ""
    most: dict[str, Any] = max(found, key=lambda one: int(one.get("count") or 0), default={})
    # The message alone: Locust leaves the exception's type out. An `assert` has none; its line of code says more.
    first = str(most.get("msg") or "").strip().splitlines()[:1]
    last = str(most.get("traceback") or "").strip().splitlines()[-1:]
    text = "".join(first or last).strip()
    return f"{int(most.get('count') or 0)} × {text[:_LONGEST_EXCEPTION]}" if text else ""


def _show_figures(done: Run, say: Say) -> None:
    width = shutil.get_terminal_size((100, 24)).columns
    say.line()
    for line in summary.table(done.seen.figures, width):
        say.line(line)
    failures = summary.failure_lines(done.seen.figures, width)
    for line in ["", *failures] if failures else []:
        say.line(line)


def _show_verdict(done: Run, judged: Verdict, say: Say) -> None:
    short = "" if done.plan.shape_class else summary.users_taken_along(done.seen, done.plan.users)
    for reason in [short, *judged.reasons] if short else judged.reasons:
        say.line(reason)
    say.line(judged.last_line)


def _document(settings: Settings, done: Run, judged: Verdict, at_start: Mapping[str, Any]) -> dict[str, Any]:
    """run.json."""
    decided: Decided = workspace.decided(settings)
    return {
        "schema_version": 1,
        "project": settings.project,
        "run_id": done.run_id,
        "labels": dict(one.split("=", 1) for one in done.plan.labels),
        "verdict": judged.word,
        "exit_code": judged.exit_code,
        "passed": judged.exit_code == verdict.EXIT_PASS,
        "reasons": list(judged.reasons),
        "started_at": f"{done.started_at:%Y-%m-%dT%H:%M:%SZ}",
        "ended_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "duration_seconds": round(done.seconds, 1),
        "settings": {
            "users": None if done.plan.shape_class else done.plan.users or None,
            "spawn_rate_per_second": None if done.plan.shape_class else settings.spawn_rate,
            "run_time_seconds": done.plan.run_time,
            "fail_ratio_limit": settings.fail_ratio,
            "host": done.plan.host or decided.host,
            "classes": list(done.plan.classes),
            "tags": list(settings.tags),
            "exclude_tags": list(settings.exclude_tags),
            "shape_class": done.plan.shape_class or None,
            "locustfile": settings.locustfile,
            "attached": settings.attach,
        },
        "figures": summary.figures(done.seen.figures),
        "endpoints": summary.endpoints(done.seen.figures),
        "failures": summary.errors(done.seen.figures),
        "workers": summary.workers(done.seen, at_start.get("workers") or []),
        "locustfile": {"sha256": done.about.locustfile_sha256, "changed_on_disk": list(done.about.changed_on_disk)},
        "locust_version": done.about.version,
    }
