"""The end of a run: judged, saved on the host, told. The verdict comes out whatever becomes of the report."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sidecar.commands import account, record, saving, summary
from sidecar.common.errors import KitError
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterError
from sidecar.report.verdict import decision, thresholds
from sidecar.report.verdict.decision import Facts, InvalidReason, Verdict
from sidecar.report.verdict.judging import Criteria, judged_document
from sidecar.stack import limits, workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.commands.follow import RunObserved
    from sidecar.commands.plan import MasterInfo, RunPlan
    from sidecar.common.console import Console
    from sidecar.model.threshold import Threshold
    from sidecar.report.verdict.thresholds import Judged
    from sidecar.settings import Settings
    from sidecar.stack.compose import Decided

_LONGEST_EXCEPTION = 200  # characters


@dataclass(frozen=True)
class FinishedRun:
    """One finished run, as far as it is known here. `plugin_run_id` is "" where no plugin told of it."""

    plan: RunPlan
    about: MasterInfo
    run_id: str
    seen: RunObserved
    started_at: datetime
    seconds: float
    ended_early: str
    thresholds: tuple[Threshold, ...] = ()
    plugin_run_id: str = ""


def report(
    web: LocustApi,
    settings: Settings,
    done: FinishedRun,
    at_start: Mapping[str, Any],
    environ: Mapping[str, str],
    say: Console,
) -> int:
    """Judge a run that is over, save its report and tell of it; the verdict's exit code.

    `at_start` are the master's figures from before the run.
    """
    document = _of_disk(settings, done, say) or _as_seen(web, settings, done, at_start)
    _show_figures(done, say)
    say.line()
    downloads = iter(()) if done.seen.master_lost else web.downloads()  # a new master's would be of no run
    say.line(f"report: {saving.save_anew(settings, document, downloads, environ)}")
    saving.append_summary(environ.get("GITHUB_STEP_SUMMARY", ""), document, say)
    _show_verdict(done, document, say)
    return int(document["exit_code"])


def _of_disk(settings: Settings, done: FinishedRun, say: Console) -> dict[str, Any]:
    """The report from what the plugin and the sidecar wrote down; empty for a master without the plugin."""
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


def _as_seen(web: LocustApi, settings: Settings, done: FinishedRun, at_start: Mapping[str, Any]) -> dict[str, Any]:
    """The report from what this command saw of the run."""
    seen = done.seen
    checked = _checked(web, done)
    by = Criteria(done.thresholds, limits.fail_ratio(settings, done.thresholds), is_fatal=settings.on_invalid == "fail")
    judged = decision.decide(
        Facts(
            requests=seen.requests,
            failures=seen.failures,
            fail_ratio_limit=by.fail_ratio,
            reasons=tuple(_reasons(web, settings, done)),
            exception="" if seen.requests or seen.master_lost else _exception(web),
            thresholds=checked,
            is_fatal=by.is_fatal,
        )
    )
    return {
        **_document(settings, done, judged, at_start),
        "judged": judged_document(judged, checked, by),
    }


def _reasons(web: LocustApi, settings: Settings, done: FinishedRun) -> Iterator[InvalidReason]:
    """What broke, as far as this command saw it, the gravest first."""
    seen = done.seen
    yield from account.by_incidents(settings, done.started_at)
    if seen.master_lost:
        yield InvalidReason("master_lost", seen.master_lost)
    if seen.missing:
        count = len(seen.missing)
        yield InvalidReason("worker_lost", f"{count} worker{'' if count == 1 else 's'} went missing during the run")
    told = {
        "generator_limits": "" if seen.master_lost else account.by_generator(web),
        "users_short": account.by_users(done),
        "ended_early": done.ended_early,
    }
    yield from (InvalidReason(kind, text) for kind, text in told.items() if text)


def _checked(web: LocustApi, done: FinishedRun) -> tuple[Judged, ...]:
    """What came of each threshold."""
    if not done.thresholds:
        return ()
    rows = thresholds.rows_of(summary.endpoints(done.seen.figures))
    try:
        times = {} if done.seen.master_lost else web.json("/locust-kit/performance.json")
    except (MasterError, ValueError):
        times = {}
    return thresholds.judge(done.thresholds, rows, thresholds.spreads_of(times))


def _exception(web: LocustApi) -> str:
    """The most frequent of what users' code raised in this run, in one line; "" when the master knows of none."""
    try:
        found = web.json("/exceptions").get("exceptions") or []
    except (MasterError, ValueError):
        return ""
    most: dict[str, Any] = max(found, key=lambda one: int(one.get("count") or 0), default={})
    # The message alone: Locust leaves the exception's type out. An `assert` has none; its line of code says more.
    first = str(most.get("msg") or "").strip().splitlines()[:1]
    last = str(most.get("traceback") or "").strip().splitlines()[-1:]
    text = "".join(first or last).strip()
    return f"{int(most.get('count') or 0)} × {text[:_LONGEST_EXCEPTION]}" if text else ""


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
    say.line(decision.last_line(str(document["verdict"]), int(document["exit_code"])))


def _document(settings: Settings, done: FinishedRun, judged: Verdict, at_start: Mapping[str, Any]) -> dict[str, Any]:
    """What the report has without the plugin's account of the run."""
    decided: Decided = workspace.decided(settings)
    return {
        "schema_version": 1,
        "project": settings.project,
        "run_id": done.run_id,
        "labels": dict(label.split("=", 1) for label in done.plan.labels),
        "verdict": judged.word,
        "exit_code": judged.exit_code,
        "passed": judged.exit_code == decision.EXIT_PASS,
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
