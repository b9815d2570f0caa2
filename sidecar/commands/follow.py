"""Follow one run from its start to its end: one look a second, keeping what the verdict will need.

`observe` is pure; `follow` is the loop around it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sidecar.commands.plan import RUNNING
from sidecar.commands.stopping import LONGEST_SECONDS, waits_for
from sidecar.common import process
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import MasterDownError, MasterError
from sidecar.stack.registered import Clock

_EACH_SECONDS = 1.0
_MASTER_GONE_SECONDS = 20.0  # nothing listens for this long: it is not coming back within this run
_MASTER_SILENT_SECONDS = 90.0  # listens, but does not answer: under load that can take long
_CACHE_SECONDS = 5.0  # the figures are cached 2 s, twice as long on a slow master
_START_SECONDS = 12.0
_STOP_SECONDS = 30.0
_ASK_SECONDS = 3.0
RESTARTED, LOST = "the master was restarted during the run", "the master was lost during the run"


@dataclass(frozen=True)
class RunObserved:
    """What was seen of a run so far.

    Attributes:
        started: whether figures of this run were seen at all.
        ended: whether it is over.
        figures: the newest answer of the master about this run.
        idle: the newest answer from before it was seen; a very short run may show only there.
        gone_before: ids of workers that were missing before the run.
        missing: ids of workers that went missing at some time.
        left: ids of workers that said goodbye.
        users: how many users there were when last seen running.
        most_users: how many there were at most.
        master_lost: what happened to the master, "" when nothing did.
        stopping: what a run that is stopping waits for, "" before that.
        run_id: the plugin's id of the run, once it is stopping.

    """

    started: bool = False
    ended: bool = False
    figures: Mapping[str, Any] = field(default_factory=dict)
    idle: Mapping[str, Any] = field(default_factory=dict)
    gone_before: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()
    users: int = 0
    most_users: int = 0
    master_lost: str = ""
    stopping: str = ""
    run_id: str = ""

    @property
    def requests(self) -> int:
        """The requests so far."""
        return _requests(self.figures)

    @property
    def failures(self) -> int:
        """The failed requests so far."""
        return int(total(self.figures).get("num_failures") or 0)


def total(figures: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the row over all requests, which Locust puts last."""
    rows = figures.get("stats") or []
    last = rows[-1] if rows else {}
    return last if last.get("name") == "Aggregated" else {}


def _requests(figures: Mapping[str, Any]) -> int:
    return int(total(figures).get("num_requests") or 0)


def before(figures: Mapping[str, Any]) -> RunObserved:
    """Return what is known before a run starts."""
    missing, every = _workers(figures)
    return RunObserved(idle=figures, gone_before=missing, present=every - missing)


def _workers(figures: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the ids of the workers that are missing, and of all."""
    workers = figures.get("workers") or []
    missing = frozenset(worker["id"] for worker in workers if worker.get("state") == "missing")
    return missing, frozenset(worker["id"] for worker in workers)


def run_state(figures: Mapping[str, Any]) -> str:
    """Return the master's state, with `stopping` read as `stopped` when nothing is left to stop.

    A master waits for every worker to say that it is ready again, a missing one included: for a minute it says
    `stopping` although every living worker has reported its last figures.
    """
    state = str(figures.get("state") or "")
    states = {worker.get("state") for worker in figures.get("workers") or []}
    is_over = "missing" in states and states <= {"ready", "missing"} and not figures.get("user_count")
    return "stopped" if state == "stopping" and is_over else state


def observe(seen: RunObserved, figures: Mapping[str, Any]) -> RunObserved:
    """Return what is known after one more look.

    A new master is told by its state `ready`, or by `stopped` with fewer requests than before: it turns to `stopped`
    as soon as it hears from a worker that it does not know.
    """
    state = run_state(figures)
    if not seen.started and state not in RUNNING:
        return seen
    if seen.started and (state == "ready" or (state == "stopped" and _requests(figures) < seen.requests)):
        return replace(seen, ended=True, master_lost=RESTARTED)
    if seen.stopping and state in RUNNING and not seen.run_id:
        return replace(seen, ended=True)  # another run
    missing, present = (ids - seen.gone_before for ids in _workers(figures))
    return replace(
        seen,
        started=True,
        figures=figures,
        ended=state == "stopped",
        present=present,
        users=int(figures.get("user_count") or 0) if state == "running" else seen.users,
        most_users=max(seen.most_users, int(figures.get("user_count") or 0)),
        missing=seen.missing | missing,
        left=seen.left | (seen.present - present - seen.missing if state in RUNNING else frozenset()),
    )


@dataclass(frozen=True)
class FollowLimits:
    """When to stop waiting, in seconds from the start; `run_time` 0 = no end of its own."""

    run_time: int
    stop_timeout: int


class Interrupted(Exception):  # noqa: N818  not an error: a person pressed Ctrl-C
    """Ctrl-C or a signal (`by`), with what had been seen until then."""

    def __init__(self, seen: RunObserved, by: str) -> None:
        super().__init__(by)
        self.seen = seen
        self.by = by


@contextlib.contextmanager
def interruptions(seen: RunObserved) -> Iterator[None]:
    """Raise `Interrupted` with what was seen for Ctrl-C or a signal within the block."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted(seen, process.name_of(interrupt)) from None


def follow(
    web: LocustApi, limits: FollowLimits, clock: Clock, show: Callable[[RunObserved, float], None], seen: RunObserved
) -> RunObserved:
    """Look once a second until the run is over, going on from what was `seen` before it.

    Raises:
        Interrupted: Ctrl-C or a signal; the run still goes on.

    """
    began = last_answer = clock.now()
    try:
        while not seen.ended:
            now = clock.now()
            try:
                figures = web.stats()
                seen = _looked(seen, figures, web, limits.stop_timeout + LONGEST_SECONDS)
                last_answer = now
                seen = _too_short_to_see(seen, figures, now - began, limits)
            except MasterError as error:
                down = isinstance(error, MasterDownError)
                if now - last_answer >= (_MASTER_GONE_SECONDS if down else _MASTER_SILENT_SECONDS):
                    seen = replace(seen, ended=True, master_lost=LOST)
            seen = _overdue(seen, now - began, limits, web)
            show(seen, now - began)
            if not seen.ended:
                clock.sleep(_EACH_SECONDS)
    except KeyboardInterrupt as interrupt:
        raise Interrupted(seen, process.name_of(interrupt)) from None
    return seen


def _looked(seen: RunObserved, figures: Mapping[str, Any], web: LocustApi, longest: float) -> RunObserved:
    """Return what is known after one more look, and what a run that is stopping waits for.

    Such a run is over when the plugin has closed it, too, or after `longest` seconds. Once its id is known, no figures
    of the next run are taken for its own: somebody may wait for its end to begin another. A master that knows no run is
    a new one.
    """
    status = (web.status() or {}) if seen.run_id else None
    if status is not None and (now := _run_id(status)) != seen.run_id:
        return replace(seen, ended=True, master_lost="" if now else RESTARTED)
    seen = observe(seen, figures)
    if not seen.started or seen.master_lost or (not seen.run_id and run_state(seen.figures) in RUNNING):
        return seen
    status = (web.status() or {}) if status is None else status
    what = waits_for(status)
    is_hanging = float(status.get("stopping_seconds") or 0) > longest
    return replace(seen, run_id=_run_id(status), stopping=what, ended=is_hanging or (seen.ended and not what))


def _run_id(status: Mapping[str, Any]) -> str:
    return str((status.get("run") or {}).get("run_id") or "")


def _too_short_to_see(
    seen: RunObserved, figures: Mapping[str, Any], seconds: float, limits: FollowLimits
) -> RunObserved:
    """Take up a run shorter than the master's cache, which shows only when it is over, by figures that are new."""
    if seen.started or seconds < _CACHE_SECONDS + limits.run_time or total(figures) == total(seen.idle):
        return seen
    return replace(seen, started=True, ended=run_state(figures) == "stopped", figures=figures)


def _overdue(seen: RunObserved, seconds: float, limits: FollowLimits, web: LocustApi) -> RunObserved:
    """End what does not end by itself: a run that never showed, and one that its own timer forgot."""
    if seen.ended or seen.stopping:
        return seen
    if not seen.started and seconds > _START_SECONDS + limits.run_time:
        return replace(seen, ended=True)
    if limits.run_time and seconds > limits.run_time + limits.stop_timeout + _STOP_SECONDS:
        stop_quietly(web)
        return replace(seen, ended=seconds > limits.run_time + limits.stop_timeout + 4 * _STOP_SECONDS)
    return seen


def stop_quietly(web: LocustApi, by: str = "") -> None:
    """Ask the master to stop, and do not wait for it; when it cannot, the figures will tell."""
    try:
        web.stop(by, _ASK_SECONDS)
    except MasterError:
        return


def settle(
    web: LocustApi, seen: RunObserved, clock: Clock, seconds: float, show: Callable[[RunObserved], None]
) -> RunObserved:
    """After a stop: look on until the master says that the run is over, at most `seconds`.

    One that was stopped before it was seen is known by figures of after the stop, if there was a run at all.
    """
    began = clock.now()
    while not seen.ended and clock.now() < began + seconds:
        try:
            figures = web.stats()
            seen = _looked(seen, figures, web, seconds)
        except MasterError:
            return replace(seen, master_lost=seen.master_lost or LOST)
        if not seen.started and run_state(figures) not in RUNNING and clock.now() - began >= _CACHE_SECONDS:
            is_known = seen.run_id or run_state(figures) == "stopping" or total(figures) != total(seen.idle)
            seen = replace(seen, started=bool(is_known), ended=not is_known, figures=figures if is_known else {})
        show(seen)
        if not seen.ended:
            clock.sleep(_EACH_SECONDS / 2)
    return seen
