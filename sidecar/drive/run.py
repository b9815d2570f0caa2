"""`run`: one run through the master's web API, its report on the host, one verdict.

Never a headless master: under its restart policy that would run again, and again.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sidecar.drive import follow, plan, reports, restart, summary, up, verdict, workspace
from sidecar.drive.follow import Interrupted, Limits, Seen
from sidecar.drive.progress import Progress
from sidecar.drive.registered import Clock
from sidecar.drive.verdict import Facts, Verdict
from sidecar.drive.web import Web, WebError
from sidecar.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sidecar.drive.compose import Decided
    from sidecar.drive.plan import Master, Plan
    from sidecar.drive.say import Say
    from sidecar.settings import Settings

_CLOCK = Clock(time.monotonic, time.sleep)
_EARLY_SLACK_SECONDS = 1.0
_SETTLE_SECONDS = 70.0  # Locust itself gives workers 60 s to stop
_DETACHED = 130


@dataclass(frozen=True)
class _Run:
    """One finished run, as far as it is known here."""

    plan: Plan
    about: Master
    run_id: str
    seen: Seen
    started_at: datetime
    seconds: float
    ended_early: str


def interrupt_on_signals() -> None:
    """Let SIGTERM and SIGHUP (a cancelled CI job, a closed terminal) end a run as Ctrl-C does: saved and judged."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)


def run(settings: Settings, environ: Mapping[str, str], say: Say) -> int:
    """Start a run (or follow the one that is going) to its end; the exit code of its verdict.

    Raises:
        KitError: it could not be run: no stack, no worker, a run going, or settings that contradict each other.

    """
    workspace.refuse_foreign_if_known(settings, environ)
    web = workspace.web_for(settings)
    figures = _figures(web, settings)
    plan.refuse_state(*_at_this_moment(web, figures), attach=settings.attach)
    if not settings.attach and _change_filters(web, settings, environ, say):
        figures = web.stats()
    about = _ask(web, settings)
    what = plan.make(settings, about, workspace.decided(settings).host)
    if settings.attach:
        what = replace(what, users=0)  # how many were asked for, only whoever started the run knows
    _say_if_stale(about, say)
    if not settings.attach and plan.hosts_overwritten(what, about):
        say.note("an earlier run's HOST still covers the classes' own: loading them anew")
        restart.reload(settings, environ, say)
        figures, about = web.stats(), _ask(web, settings)
    done = _drive(web, settings, what, about, figures, say)
    if done is None:
        return _DETACHED
    return _report(web, settings, done, figures, environ, say)


def _figures(web: Web, settings: Settings) -> dict[str, Any]:
    try:
        return web.stats()
    except WebError as error:
        raise StackError(
            f"the stack {settings.project!r} cannot run: {error.what}", where=error.where, fix="make up"
        ) from None


def _ask(web: Web, settings: Settings) -> Master:
    return plan.master(web.status(), web.page_settings(), workspace.loaded_hosts(settings))


def _at_this_moment(web: Web, figures: Mapping[str, Any]) -> tuple[str, int]:
    """The master's state and its count of workers; its figures may be two seconds old, and older than the workers."""
    live = web.status() or {}
    state = follow.run_state({**figures, "state": live.get("state") or figures.get("state")})
    return state, web.worker_count()


def _change_filters(web: Web, settings: Settings, environ: Mapping[str, str], say: Say) -> bool:
    """Recreate master and workers when TAGS, EXCLUDE_TAGS or CLASSES are others than they were started with."""
    picker = bool(web.page_settings().get("show_userclass_picker"))
    names = plan.filters_to_change(settings, web.status(), class_picker=picker)
    if names:
        say.note(f"{', '.join(names)}: not what the stack was started with; recreating master and workers")
        up.up(settings, environ, say, quiet_end=True)
    return bool(names)


def _say_if_stale(about: Master, say: Say) -> None:
    if about.changed_on_disk:
        say.note(
            f"warning: {about.stale_processes} processes run an older {', '.join(about.changed_on_disk)} than the "
            "one on disk → make reload"
        )


def _drive(
    web: Web, settings: Settings, what: Plan, about: Master, figures: Mapping[str, Any], say: Say
) -> _Run | None:
    """Start, follow, and stop on Ctrl-C; None when a followed run was left to go on."""
    started_at, began = datetime.now(UTC), time.monotonic()
    if not settings.attach:
        _start(web, what)
        say.line(_headline(what) + _only(settings))
    limits = Limits(0 if settings.attach else what.run_time, settings.stop_timeout)
    progress = Progress(say, limits.run_time)
    early = ""
    try:
        seen = follow.follow(web, limits, _CLOCK, progress.show, follow.before(figures))
    except Interrupted as interrupt:
        progress.end()
        if settings.attach:
            say.line("no longer following; the run goes on → make run ATTACH=1")
            return None
        say.note("Ctrl-C: stopping the run, then saving what there is (Ctrl-C again gives up)")
        seen, early = _stop(web, interrupt.seen), _interrupted(what, time.monotonic() - began)
    progress.end()
    seconds = time.monotonic() - began
    known = _known_run_id(web)
    if known is None and seen.started and not seen.master_lost:
        seen = replace(seen, master_lost="the master was restarted during the run")
    fresh = known if known and (settings.attach or known != about.run_id) else ""
    run_id = fresh or f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    early = early or _ended_early(what, seen, seconds, attached=settings.attach)
    return _Run(what, about, run_id, seen, started_at, seconds, early)


def _start(web: Web, what: Plan) -> None:
    answer = web.swarm(what.form())
    if not answer.get("success"):
        raise StackError(f"Locust did not start the run: {answer.get('message') or 'no reason given'}")


def _headline(what: Plan) -> str:
    aim = f" at {what.host}" if what.host else ""
    if what.shape_class:
        return f"run with the load shape {what.shape_class}{aim}; it ends with the shape (Ctrl-C stops it)"
    length = f"for {what.run_time} s" if what.run_time else "until Ctrl-C"
    return f"run of {what.users} users, {what.spawn_rate:g} a second, {length}{aim} (Ctrl-C stops it)"


def _only(settings: Settings) -> str:
    """What narrows the run down; said each time, because it holds until somebody says otherwise."""
    parts = [
        f"{word} {', '.join(names)}"
        for word, names in (
            ("only classes", settings.classes),
            ("only tags", settings.tags),
            ("no tags", settings.exclude_tags),
        )
        if names
    ]
    return f"; {'; '.join(parts)}" if parts else ""


def _stop(web: Web, seen: Seen) -> Seen:
    follow.stop_quietly(web)
    return follow.settle(web, seen, _CLOCK, _SETTLE_SECONDS)


def _interrupted(what: Plan, seconds: float) -> str:
    if what.shape_class:
        return f"stopped by Ctrl-C after {seconds:.0f} s, before the load shape ended"
    return f"stopped by Ctrl-C after {seconds:.0f} s of {what.run_time} s" if what.run_time else ""


def _ended_early(what: Plan, seen: Seen, seconds: float, *, attached: bool) -> str:
    if attached or not what.run_time or seen.master_lost or seconds >= what.run_time - _EARLY_SLACK_SECONDS:
        return ""
    return f"stopped by somebody else after {seconds:.0f} s of {what.run_time} s"


def _known_run_id(web: Web) -> str | None:
    """The plugin's id of its newest run; "" without a plugin, None when the plugin knows of no run at all."""
    try:
        status = web.status()
    except WebError:
        return ""
    if status is None:
        return ""
    return str(status["run"]["run_id"]) if status.get("run") else None


def _report(
    web: Web, settings: Settings, done: _Run, at_start: Mapping[str, Any], environ: Mapping[str, str], say: Say
) -> int:
    seen = done.seen
    judged = verdict.decide(
        Facts(
            seen.requests,
            seen.failures,
            settings.fail_ratio,
            len(seen.missing),
            seen.master_lost,
            done.ended_early,
        )
    )
    folder = reports.new_folder(settings.reports_dir, done.run_id)
    downloads = web.downloads() if not seen.master_lost else iter(())
    names = reports.save(folder, _document(settings, done, judged, at_start), downloads)
    reports.hand_over([settings.reports_dir, folder, *(folder / name for name in names)], environ)
    _show(done, judged, folder, say)
    return judged.exit_code


def _show(done: _Run, judged: Verdict, folder: Path, say: Say) -> None:
    width = shutil.get_terminal_size((100, 24)).columns
    say.line()
    for line in summary.table(done.seen.figures, width):
        say.line(line)
    failures = summary.failure_lines(done.seen.figures, width)
    for line in ["", *failures] if failures else []:
        say.line(line)
    say.line()
    say.line(f"report: {folder}")
    short = "" if done.plan.shape_class else summary.users_taken_along(done.seen, done.plan.users)
    for reason in [short, *judged.reasons] if short else judged.reasons:
        say.line(reason)
    say.line(judged.last_line)


def _document(settings: Settings, done: _Run, judged: Verdict, at_start: Mapping[str, Any]) -> dict[str, Any]:
    """run.json."""
    decided: Decided = workspace.decided(settings)
    return {
        "schema_version": 1,
        "project": settings.project,
        "run_id": done.run_id,
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
