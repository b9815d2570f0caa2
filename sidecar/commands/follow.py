"""Follow one run from its start to its end, once per second, and keep what the verdict needs.

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
_MASTER_GONE_SECONDS = 20.0  # without a listener for this long, the master does not come back in this run
_MASTER_SILENT_SECONDS = 90.0  # it listens, but does not answer: under load this can take long
_CACHE_SECONDS = 5.0  # the master caches the figures for 2 s, a slow master for 4 s
_START_SECONDS = 12.0
_STOP_SECONDS = 30.0
_ASK_SECONDS = 3.0
RESTARTED, LOST = "the master was restarted during the run", "the master was lost during the run"


@dataclass(frozen=True)
class RunObserved:
    """The observations of a run so far.

    Attributes:
        started: whether any figures of this run were seen.
        ended: whether it is over.
        figures: the master's newest answer about this run.
        idle: the newest answer before that; a very short run may show only there.
        gone_before: ids of workers that were missing before the run.
        missing: ids of workers that were missing at any time.
        left: ids of workers that disconnected on purpose.
        users: the number of users when the run was last seen running.
        most_users: the largest number of users.
        master_lost: what happened to the master, "" if nothing happened.
        stopping: what the run waits for while it stops, "" before that.
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
    """Return the observation before a run starts."""
    missing, every = _workers(figures)
    return RunObserved(idle=figures, gone_before=missing, present=every - missing)


def _workers(figures: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the ids of the workers that are missing, and of all."""
    workers = figures.get("workers") or []
    missing = frozenset(worker["id"] for worker in workers if worker.get("state") == "missing")
    return missing, frozenset(worker["id"] for worker in workers)


def run_state(figures: Mapping[str, Any]) -> str:
    """Return the master's state, but `stopped` instead of `stopping` if nothing is left to stop.

    A master waits until every worker is ready again, even a missing one. So its state is `stopping` for up to a minute
    after every living worker has sent its last figures.
    """
    state = str(figures.get("state") or "")
    states = {worker.get("state") for worker in figures.get("workers") or []}
    is_over = "missing" in states and states <= {"ready", "missing"} and not figures.get("user_count")
    return "stopped" if state == "stopping" and is_over else state


def observe(seen: RunObserved, figures: Mapping[str, Any]) -> RunObserved:
    """Return the observation after one more look.

    A new master has the state `ready`, or `stopped` with fewer requests than before. It changes to `stopped` as soon as
    a worker connects that it does not know.
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
    """When to stop waiting, in seconds from the start; `run_time` 0 = until it is stopped."""

    run_time: int
    stop_timeout: int


class Interrupted(Exception):  # noqa: N818  not an error: a person pressed Ctrl-C
    """Ctrl-C or a signal (`by`), with the observation so far."""

    def __init__(self, seen: RunObserved, by: str) -> None:
        super().__init__(by)
        self.seen = seen
        self.by = by


@contextlib.contextmanager
def interruptions(seen: RunObserved) -> Iterator[None]:
    """Raise `Interrupted` with the observation for Ctrl-C or a signal within the block."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted(seen, process.name_of(interrupt)) from None


def follow(
    web: LocustApi, limits: FollowLimits, clock: Clock, show: Callable[[RunObserved, float], None], seen: RunObserved
) -> RunObserved:
    """Look once per second until the run is over; `seen` is the observation before it.

    Raises:
        Interrupted: Ctrl-C or a signal; the run continues.

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
    """Return the observation after one more look, and what a stopping run waits for.

    A stopping run is over when the plugin has closed it, or after `longest` seconds. With a known id, figures of the
    next run do not count, because somebody may start another run at once. A master without a run is a new master.
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
    """Notice a run that is shorter than the master's cache: only its new figures show it, after its end."""
    if seen.started or seconds < _CACHE_SECONDS + limits.run_time or total(figures) == total(seen.idle):
        return seen
    return replace(seen, started=True, ended=run_state(figures) == "stopped", figures=figures)


def _overdue(seen: RunObserved, seconds: float, limits: FollowLimits, web: LocustApi) -> RunObserved:
    """End a run that never started, or that did not stop after its run time."""
    if seen.ended or seen.stopping:
        return seen
    if not seen.started and seconds > _START_SECONDS + limits.run_time:
        return replace(seen, ended=True)
    if limits.run_time and seconds > limits.run_time + limits.stop_timeout + _STOP_SECONDS:
        stop_quietly(web)
        return replace(seen, ended=seconds > limits.run_time + limits.stop_timeout + 4 * _STOP_SECONDS)
    return seen


def stop_quietly(web: LocustApi, by: str = "") -> None:
    """Ask the master to stop, without waiting. If that fails, the figures show it."""
    try:
        web.stop(by, _ASK_SECONDS)
    except MasterError:
        return


def settle(
    web: LocustApi, seen: RunObserved, clock: Clock, seconds: float, show: Callable[[RunObserved], None]
) -> RunObserved:
    """After a stop, look until the master reports the end of the run, at most `seconds`.

    A run that was stopped before it was seen shows in the figures after the stop.
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
