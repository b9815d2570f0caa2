"""`run`: one run through the master's web API, its report on the host, one verdict.

Never a headless master: under its restart policy that would run again, and again.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sidecar.commands import follow, outcome, plan, reports, restart, up
from sidecar.commands.follow import FollowLimits, Interrupted
from sidecar.commands.progress import Progress
from sidecar.commands.seen import FinishedRun
from sidecar.common import process
from sidecar.common.errors import StackError
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterError
from sidecar.stack import deployment, limits, workspace
from sidecar.stack.registered import Clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sidecar.commands.plan import MasterInfo, RunPlan
    from sidecar.common.console import Console
    from sidecar.settings import Settings

_CLOCK = Clock(time.monotonic, time.sleep)
_SETTLE_SECONDS = 70.0  # Locust itself gives workers 60 s to stop
_DETACHED = 130


def run(settings: Settings, environ: Mapping[str, str], say: Console) -> int:
    """Start a run (or follow the one that is going) to its end; the exit code of its verdict.

    Raises:
        KitError: it could not be run: no stack, no worker, a run going, or settings that contradict each other.

    """
    asked = limits.thresholds(settings, environ)
    workspace.refuse_foreign_if_known(settings, environ)
    web = workspace.web_for(settings)
    figures = _figures(web, settings)
    plan.refuse_state(*_at_this_moment(web, figures), attach=settings.attach)
    reports.probe(settings.reports_dir)
    if not settings.attach and _change_filters(web, settings, environ, say):
        figures = web.stats()
    about = _ask(web, settings)
    what = plan.make(settings, about, workspace.decided(settings).host)
    what = replace(what, judge=json.dumps(limits.words(settings, asked)))
    if settings.attach:
        what = replace(what, users=0)  # how many were asked for, only whoever started the run knows
    _say_if_stale(about, say)
    if not settings.attach and plan.hosts_overwritten(what, about):
        deployment.refuse(
            settings, "an earlier run's HOST covers the classes' own: name it again, or make swarm-down, swarm-up"
        )
        say.note("an earlier run's HOST still covers the classes' own: loading them anew")
        restart.reload(settings, environ, say)
        figures, about = web.stats(), _ask(web, settings)
    done = _drive(web, settings, what, about, figures, say)
    if done is None:
        return _DETACHED
    return outcome.report(web, settings, replace(done, thresholds=asked), environ, say)


def _figures(web: LocustApi, settings: Settings) -> dict[str, Any]:
    try:
        return web.stats()
    except MasterError as error:
        raise StackError(
            f"the stack {settings.project!r} cannot run: {error.what}", where=error.where, fix="make up"
        ) from None


def _ask(web: LocustApi, settings: Settings) -> MasterInfo:
    return plan.master(web.status(), web.page_settings(), workspace.loaded_hosts(settings))


def _at_this_moment(web: LocustApi, figures: Mapping[str, Any]) -> tuple[str, int]:
    """The master's state and its count of workers; its figures may be two seconds old, and older than the workers."""
    live = web.status() or {}
    state = follow.run_state({**figures, "state": live.get("state") or figures.get("state")})
    return state, web.worker_count()


def _change_filters(web: LocustApi, settings: Settings, environ: Mapping[str, str], say: Console) -> bool:
    """Recreate master and workers when TAGS, EXCLUDE_TAGS or CLASSES are others than they were started with."""
    picker = bool(web.page_settings().get("show_userclass_picker"))
    names = plan.filters_to_change(settings, web.status(), class_picker=picker)
    if names:
        deployment.refuse(settings, f"make swarm-up with {', '.join(names)} as they are to be")
        _refuse_by_the_files(web, settings)
        say.note(f"{', '.join(names)}: not what the stack was started with; recreating master and workers")
        up.up(settings, environ, say, quiet_end=True)
    return bool(names)


def _refuse_by_the_files(web: LocustApi, settings: Settings) -> None:
    """Refuse what the files cannot carry before anything is recreated; files that have changed since, `up` reads.

    The master cannot say: it may have been started with some of the classes only.
    """
    about = _ask(web, settings)
    if not about.changed_on_disk:
        in_files = tuple(workspace.loaded_hosts(settings).items())
        plan.make(settings, replace(about, user_classes=in_files), workspace.decided(settings).host)


def _say_if_stale(about: MasterInfo, say: Console) -> None:
    if about.changed_on_disk:
        say.note(
            f"warning: {about.stale_processes} processes run an older {', '.join(about.changed_on_disk)} than the "
            "one on disk → make reload"
        )


def _drive(
    web: LocustApi, settings: Settings, what: RunPlan, about: MasterInfo, figures: Mapping[str, Any], say: Console
) -> FinishedRun | None:
    """Start, follow, and stop on Ctrl-C; None when a followed run was left to go on."""
    started_at, began = datetime.now(UTC), time.monotonic()
    if not settings.attach:
        _start(web, what)
        for line in _headline(what, settings):
            say.line(line)
    times = FollowLimits(0 if settings.attach else what.run_time, settings.stop_timeout)
    progress = Progress(say, times.run_time)
    stopped_by, stopped_after = "", None
    try:
        seen = follow.follow(web, times, _CLOCK, progress.show, follow.before(figures))
    except Interrupted as interrupt:
        if settings.attach:
            progress.end()
            say.line("no longer following; the run goes on → make run ATTACH=1")
            return None
        stopped_by, stopped_after = interrupt.by, time.monotonic() - began
        _stop(web, interrupt.by, say)
        seen = follow.settle(web, interrupt.seen, _CLOCK, _SETTLE_SECONDS)
    progress.end()
    seconds = stopped_after or time.monotonic() - began
    known = _known_run_id(web)
    if known is None and seen.started and not seen.master_lost:
        seen = replace(seen, master_lost=follow.RESTARTED)
    fresh = known if known and (settings.attach or known != about.run_id) else ""
    run_id = fresh or f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    return FinishedRun(what, about, run_id, seen, started_at, seconds, stopped_by, figures, plugin_run_id=fresh)


def _start(web: LocustApi, what: RunPlan) -> None:
    answer = web.swarm(what.form())
    if not answer.get("success"):
        raise StackError(f"Locust did not start the run: {answer.get('message') or 'no reason given'}")


def _headline(what: RunPlan, settings: Settings) -> list[str]:
    aim = f" at {what.host}" if what.host else ""
    hints = [*_only(settings), "Ctrl-C stops it"]
    if what.shape_class:
        return [f"run with the load shape {what.shape_class}{aim}; it ends with the shape", f"  {'; '.join(hints)}"]
    length = f", for {what.run_time} s" if what.run_time else ""
    return [f"run of {what.users} users, {what.spawn_rate:g} a second{length}{aim}", f"  {'; '.join(hints)}"]


def _only(settings: Settings) -> list[str]:
    """What narrows the run down; said each time, because it holds until somebody says otherwise."""
    return [
        f"{word} {', '.join(names)}"
        for word, names in (
            ("only classes", settings.classes),
            ("only tags", settings.tags),
            ("no tags", settings.exclude_tags),
        )
        if names
    ]


def _stop(web: LocustApi, by: str, say: Console) -> None:
    """Stop the run at the master: at once, unless a person waits to be told that it may take a while."""
    if by == process.CTRL_C:
        say.rewrite()
        say.note("Ctrl-C: stopping the run, then saving what there is (Ctrl-C again gives up)")
        follow.stop_quietly(web)
        return
    follow.stop_quietly(web)
    say.rewrite()
    say.note(f"{by}: stopped the run, saving what there is")


def _known_run_id(web: LocustApi) -> str | None:
    """The plugin's id of its newest run; "" without a plugin, None when the plugin knows of no run at all."""
    try:
        status = web.status()
    except MasterError:
        return ""
    if status is None:
        return ""
    return str(status["run"]["run_id"]) if status.get("run") else None
