"""`run`: one run through the master's web API, with its report on the host and one verdict.

The master is never headless: under its restart policy it would start the run again and again.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sidecar.commands import artifacts, follow, plan, report, reports, restart, seen, stopping, summary, up
from sidecar.commands.follow import FollowLimits, Interrupted
from sidecar.commands.plan import MasterInfo, RunPlan
from sidecar.commands.seen import FinishedRun
from sidecar.commands.summary import Progress
from sidecar.common import process
from sidecar.common.console import Console
from sidecar.common.errors import KitError, StackError
from sidecar.common.redaction import Redactor
from sidecar.common.units import plural
from sidecar.common.version import KIT_VERSION
from sidecar.common.visible_text import visible
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterError
from sidecar.model import run_arguments
from sidecar.report.document import make
from sidecar.report.verdict.judge import last_line
from sidecar.settings import Settings
from sidecar.stack import as_decided, deployment, limits, workspace
from sidecar.stack.registered import Clock

_CLOCK = Clock()
_DETACHED = 130


def run(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Start a run (or follow the one that is running) to its end; return the exit code of its verdict.

    Raises:
        KitError: the run could not start: no stack, no worker, an active run, or contradicting settings.

    """
    asked = limits.thresholds(settings, environ)
    if unknown := as_decided.check(settings, environ):
        console.note(f"note: {unknown}")
    web = workspace.web_for(settings)
    if not settings.attach:
        stopping.wait_for_master(web, settings, environ, console, _CLOCK)
        stopping.wait(web, console, _CLOCK)
    figures = _figures(web, settings)
    plan.refuse_state(*_at_this_moment(web, figures), attach=settings.attach)
    reports.probe(settings.reports_dir)
    if not settings.attach and _change_filters(web, settings, environ, console):
        figures = web.stats()
    about = _ask(web, settings)
    run_plan = plan.make(settings, about, workspace.decided(settings).host)
    run_plan = replace(run_plan, judge=json.dumps(limits.words(settings, asked)))
    if not settings.attach and (short := plan.left_out(run_plan, about)):
        console.note(f"note: {short}")
    if settings.attach:
        run_plan = replace(run_plan, users=0)  # only the caller that started the run knows its number of users
    _warn_if_few(web.worker_count(), settings, console)
    _warn_if_stale(about, console)
    if not settings.attach and plan.hosts_overwritten(run_plan, about):
        deployment.refuse(
            settings,
            "an earlier run's HOST replaced the classes' own hosts: set HOST again, or make swarm-down, swarm-up",
        )
        console.note("an earlier run's HOST still replaces the classes' own hosts: reloading the locustfile")
        restart.reload(settings, environ, console)
        figures, about = web.stats(), _ask(web, settings)
    done = _drive(web, settings, run_plan, about, figures, console)
    if done is None:
        return _DETACHED
    return _finish(web, settings, replace(done, thresholds=asked), environ, console)


def _figures(web: LocustApi, settings: Settings) -> dict[str, Any]:
    try:
        return web.stats()
    except MasterError as error:
        raise StackError(
            f"the stack {settings.project!r} cannot run: {error.what}", where=error.where, fix=error.fix or "make up"
        ) from None


def _ask(web: LocustApi, settings: Settings) -> MasterInfo:
    return plan.master(web.status(), web.page_settings(), workspace.loaded_hosts(settings))


def _at_this_moment(web: LocustApi, figures: Mapping[str, Any]) -> tuple[str, int]:
    """Return the master's state and its number of workers.

    The master's figures may be two seconds old, and older than its workers.
    """
    live = web.status() or {}
    state = follow.run_state({**figures, "state": live.get("state") or figures.get("state")})
    return state, web.worker_count()


def _change_filters(web: LocustApi, settings: Settings, environ: Mapping[str, str], console: Console) -> bool:
    """Recreate master and workers if TAGS, EXCLUDE_TAGS or CLASSES differ from the running stack."""
    picker = bool(web.page_settings().get("show_userclass_picker"))
    names = plan.filters_to_change(settings, web.status(), class_picker=picker)
    if names:
        deployment.refuse(settings, f"make swarm-up with the new {', '.join(names)}")
        _refuse_by_the_files(web, settings)
        console.note(f"{', '.join(names)}: the running stack has other values; recreating master and workers")
        kept = _without_arguments(settings, environ)
        up.up(replace(settings, environ=kept), kept, console, quiet_end=True)
    return bool(names)


def _without_arguments(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the run's arguments, which make adds to it: an env file could name a secret.

    Compose replaces each ${NAME} in an env file, so the secret would stay in the containers.
    """
    return {name: text for name, text in environ.items() if name not in settings.words}


def _refuse_by_the_files(web: LocustApi, settings: Settings) -> None:
    """Refuse classes and shapes that the files lack, before anything is recreated. `up` reads files that have changed.

    The master does not know: it may have been started with only some of the classes.
    """
    about = _ask(web, settings)
    if not about.changed_on_disk:
        in_files = tuple(workspace.loaded_hosts(settings).items())
        plan.make(settings, replace(about, user_classes=in_files), workspace.decided(settings).host)


def _warn_if_few(workers: int, settings: Settings, console: Console) -> None:
    wanted = workspace.expected_workers(settings)
    if as_decided.is_known(settings) and workers < wanted:
        detail, fix = f"; `up` set {settings.workers}", f"make scale WORKERS={settings.workers}"
        if workspace.processes(settings) > 1:  # diagnose names the missing processes of a container
            detail, fix = f", {workspace.processes(settings)} in each container", "make diagnose"
        count = f"{workers} of {plural(wanted, 'worker')} registered"
        console.note(f"warning: {count}{detail} → {fix}{settings.project_word}")


def _warn_if_stale(about: MasterInfo, console: Console) -> None:
    if about.changed_on_disk:
        console.note(
            f"warning: the file on disk is newer than in {about.stale_processes} of the stack's processes: "
            f"{', '.join(about.changed_on_disk)} → make reload"
        )


def _drive(
    web: LocustApi,
    settings: Settings,
    run_plan: RunPlan,
    about: MasterInfo,
    figures: Mapping[str, Any],
    console: Console,
) -> FinishedRun | None:
    """Start, follow, and stop on Ctrl-C; return None if a followed run continues without this command."""
    started_at, began = datetime.now(UTC), time.monotonic()
    times = FollowLimits(0 if settings.attach else run_plan.seconds, settings.stop_timeout)
    progress = Progress(console, times.run_time)
    stopped_by, stopped_after = "", None
    before = follow.before(figures)
    try:
        with follow.interruptions(before):
            _start(web, run_plan, settings, console)
        seen = follow.follow(web, times, _CLOCK, progress.show, before)
    except Interrupted as interrupt:
        if settings.attach:
            progress.end()
            console.line("stopped following; the run continues → make run ATTACH=1 follows it again")
            return None
        stopped_by, stopped_after = interrupt.by, time.monotonic() - began
        _stop(web, interrupt.by, console)
        longest = settings.stop_timeout + stopping.LONGEST_SECONDS  # a second Ctrl-C stops the waiting
        now = _known_run_id(web) or ""
        seen = replace(interrupt.seen, run_id=now if now != about.run_id else "")
        seen = follow.settle(web, seen, _CLOCK, longest, lambda seen: progress.show(seen, time.monotonic() - began))
    progress.end()
    seconds = stopped_after or time.monotonic() - began
    known = seen.run_id or _known_run_id(web)
    if known is None and seen.started and not seen.master_lost:
        seen = replace(seen, master_lost=follow.RESTARTED)
    fresh = known if known and (settings.attach or known != about.run_id) else ""
    run_id = fresh or f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    return FinishedRun(run_plan, about, run_id, seen, started_at, seconds, stopped_by, figures, plugin_run_id=fresh)


def _start(web: LocustApi, run_plan: RunPlan, settings: Settings, console: Console) -> None:
    """Start the run, or follow the active run, and print the headline."""
    if not settings.attach:
        answer = web.swarm(run_plan.form())
        if not answer.get("success"):
            raise StackError(f"Locust did not start the run: {answer.get('message') or 'no reason given'}")
        for line in _headline(run_plan, settings):
            console.line(line)
    if run_plan.arguments:
        console.line(f"  with {run_arguments.line(run_plan.arguments)}")


def _headline(run_plan: RunPlan, settings: Settings) -> list[str]:
    aim = f" against {Redactor().text(run_plan.host)}" if run_plan.host else ""
    hints = [*filter(None, (up.defaults_note(settings),)), *_only(settings), "Ctrl-C stops the run"]
    load = f"{plural(run_plan.users, 'user')}, {run_plan.spawn_rate:g} started per second"
    load += f", for {run_plan.run_time} s" if run_plan.run_time else ""
    if not run_plan.shape_class:
        return [f"Run of {load}{aim}", f"  {'; '.join(hints)}"]
    hints = ["the shape ends the run", *([f"the shape may read these: {load}"] if run_plan.sends_load else []), *hints]
    return [f"Run with the load shape {run_plan.shape_class}{aim}", f"  {'; '.join(hints)}"]


def _only(settings: Settings) -> list[str]:
    """Return the filters of the run. They are printed for each run, because they stay until somebody changes them."""
    return [
        f"{word} {', '.join(names)}"
        for word, names in (
            ("only classes", settings.classes),
            ("only tags", settings.tags),
            ("no tags", settings.exclude_tags),
        )
        if names
    ]


def _stop(web: LocustApi, by: str, console: Console) -> None:
    """Stop the run at the master. After Ctrl-C, first print that this may take a while."""
    if by == process.CTRL_C:
        console.rewrite()
        console.note("Ctrl-C: stopping the run and saving its report (a second Ctrl-C exits at once)")
        follow.stop_quietly(web, by)
        return
    follow.stop_quietly(web, by)
    console.rewrite()
    console.note(f"{by}: stopped the run, saving its report")


def _known_run_id(web: LocustApi) -> str | None:
    """Return the plugin's id of its newest run; "" without a plugin, None if the plugin has no run."""
    try:
        status = web.status()
    except MasterError:
        return ""
    if status is None:
        return ""
    return str(status["run"]["run_id"]) if status.get("run") else None


def _finish(web: LocustApi, settings: Settings, done: FinishedRun, environ: Mapping[str, str], console: Console) -> int:
    """Judge a finished run, save its report and print it; return the verdict's exit code."""
    # First, because a master that its locustfile ended answers only a few more seconds, and a new one has no run.
    downloads, missing = _downloads(web, done)
    kept = settings.reports_dir / f".artifacts-{done.run_id}"
    try:
        written, left_out = artifacts.collect(settings, environ, done.started_at, kept)
        document = _document(web, settings, done, console)
        document["warnings"] = [*document["warnings"], *missing, *left_out]
        _show_figures(document, console)
        console.line()
        folder = reports.save_anew(settings, document, downloads, environ)
        is_moved = artifacts.move(kept, Path(folder), environ)
    finally:  # no folder is left after Ctrl-C, either
        shutil.rmtree(kept, ignore_errors=True)
    for line in [f"report: {folder}", *(written if is_moved else ())]:
        console.line(line)
    reports.append_summary(environ.get("GITHUB_STEP_SUMMARY", ""), document, console)
    _show_verdict(done, document, console)
    return int(document["exit_code"])


def _document(web: LocustApi, settings: Settings, done: FinishedRun, console: Console) -> dict[str, Any]:
    """Return the report of a finished run: from its record, else from the observations of this command."""
    document, unwritten = _of_disk(web, settings, done)
    if document:
        return document
    if unwritten:
        console.note(f"note: the verdict rests on what this command saw: {unwritten}")
    record = seen.record_of(web, settings, done, unwritten=unwritten)
    return make(record, settings.project, os.cpu_count(), KIT_VERSION)


def _downloads(web: LocustApi, done: FinishedRun) -> tuple[list[tuple[str, bytes]], list[str]]:
    """Return the master's files of a run, and a warning about missing files with the reason."""
    if done.seen.master_lost:
        return [], [f"the report has none of Locust's own files: {done.seen.master_lost}"]
    files, missing = [], dict[str, list[str]]()
    for name, content, why in web.downloads():
        if why:
            missing.setdefault(why, []).append(name)
        else:
            files.append((name, content))
    return files, [f"not in the report: {', '.join(names)}: {why}" for why, names in missing.items()]


def _of_disk(web: LocustApi, settings: Settings, done: FinishedRun) -> tuple[dict[str, Any], str]:
    """Return the report from the records of plugin and monitor, or an empty one and the reason.

    A master without the plugin has no record and no reason: nothing there records a run.
    """
    run_id = done.plugin_run_id or report.newest_since(settings, done.started_at)
    if not run_id:
        why = "the master's plugin recorded no run" if done.about.has_plugin else ""
    else:
        words = limits.words(settings, done.thresholds) if settings.attach else None
        try:
            document = report.fetch(settings, run_id, judge=words)
        except KitError as error:
            why = f"the run's record cannot be read: {error.line()}"
        else:
            if document["state"] != "going":
                return document, ""
            why = "the run's record is incomplete: its end is missing"
    problem = str(seen.asked(web.status).get("record_error") or "") if why else ""
    return {}, f"{why}; the master could not write it: {problem}" if problem else why


def _show_figures(document: Mapping[str, Any], console: Console) -> None:
    """Print the figures of the verdict. Locust's own page also counts requests after the end."""
    width = shutil.get_terminal_size((100, 24)).columns
    console.line()
    for line in summary.table(document, width):
        console.line(line)
    failures = summary.failure_lines(document, width)
    for line in ["", *failures] if failures else []:
        console.line(line)


def _show_verdict(done: FinishedRun, document: Mapping[str, Any], console: Console) -> None:
    short = "" if done.plan.shape_class else summary.users_taken_along(done.seen, done.plan.users)
    warnings = [f"warning: {warning}" for warning in document["warnings"]]
    for line in [*warnings, *([short] if short else []), *document["reasons"]]:
        console.line(visible(line))
    console.line(last_line(str(document["verdict"]), int(document["exit_code"])))
