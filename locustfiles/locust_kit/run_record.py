"""What is written down of each run, from its start to its end, by the master: all that its verdict is made of.

A master that is killed takes along the last second of the timeline, and ten of the documents.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import gevent
from locust.runners import STATE_CLEANUP, STATE_RUNNING, STATE_SPAWNING, STATE_STOPPING

from . import figures, plan, run_folder, timeline
from .failures.settings import redactor
from .guard import guarded, keep_doing
from .writer import Writer

if TYPE_CHECKING:
    from locust.env import Environment

    from .failures.part import FailureAccount
    from .run_folder import RunIdentity

_TICK_SECONDS, _SAVE_TICKS = 1.0, 10
_PLAN_TICKS = 2  # Locust starts its timer right after a run's start
_PATIENCE_SECONDS = 5.0
_GOING = (STATE_SPAWNING, STATE_RUNNING, STATE_STOPPING, STATE_CLEANUP)
_REMEMBERED = 4096


class RunRecorder:
    """Keeps the folder of the run that is going."""

    def __init__(self, environment: Environment, account: FailureAccount) -> None:
        self._environment = environment
        self._account = account
        self._clean = lru_cache(_REMEMBERED)(redactor(os.environ).text)
        self._run: RunIdentity | None = None
        self._writer: Writer | None = None
        self._details: Mapping[str, Any] = {}
        self._ticks = 0
        self._most_users = 0
        self._shape_cut = False
        self._stopped = False
        self._quit = False  # whether this process was asked to end while a run was going

    @property
    def is_open(self) -> bool:
        """Whether a run has begun that has no end marker yet."""
        return self._run is not None

    def listen(self) -> None:
        """Follow each run."""
        self._environment.events.spawning_complete.add_listener(guarded(self._spawned))
        self._environment.events.quitting.add_listener(guarded(self._quitting))
        keep_doing(self._tick, _TICK_SECONDS)

    def begin(self, run: RunIdentity, details: Mapping[str, Any]) -> None:
        """Make the folder of a run, so that there is one whatever comes."""
        trouble = run_folder.Trouble(run)
        self._run, self._details, self._ticks = run, details, 0
        self._most_users, self._shape_cut, self._stopped = 0, False, False
        self._writer = Writer(run_folder.RUNS / run.run_id, trouble)
        self._account.begin(run.run_id, self._writer)
        try:
            run_folder.make(run, {**details, **plan.document(self._environment)}, run_folder.RUNS)
        except OSError as error:
            trouble(error)

    def stopping(self) -> None:
        """Note whether a load shape is cut short: one that came to its own end stops the run itself."""
        shape = getattr(self._environment.runner, "shape_greenlet", None)
        self._shape_cut = shape is not None and shape is not gevent.getcurrent()

    def stopped(self) -> None:
        """Note that the run is over, though what is known of it may not be complete yet."""
        self._stopped = True

    def end(self, run: RunIdentity, told: Mapping[str, Any]) -> None:
        """Write all of it down, the end marker last; `told` is what the workers said of themselves."""
        if self._writer is None:
            return
        self._note_moment()
        self.save()
        total = self._environment.stats.total
        counts = {"requests": total.num_requests, "failures": total.num_failures}
        known = {**counts, "most_users": self._most_users, "shape_cut": self._shape_cut, "quit": self._quit, **told}
        self._writer.document(run_folder.END, run_folder.document(run, known))
        self._run = None

    def save(self) -> None:
        """Have the documents on disk as of now."""
        if self._writer is not None and self._run is not None:
            self._account.save()
            document = figures.document(self._run.run_id, self._environment.stats, self._clean)
            self._writer.document(figures.FILE, document)

    def keep(self, **_: Any) -> None:
        """Before this process ends: wait a little for a slow disk."""
        if self._writer is not None:
            self._writer.wait(_PATIENCE_SECONDS)

    def _spawned(self, user_count: int, **_: Any) -> None:
        self._most_users = max(self._most_users, user_count)

    def _quitting(self, **_: Any) -> None:
        self._quit = self._run is not None and not self._stopped

    def _tick(self) -> None:
        """Look once a second; a run's timer is known only after its start."""
        runner = self._environment.runner
        if self._run is None or self._writer is None or runner is None or runner.state not in _GOING:
            return
        self._ticks += 1
        self._note_moment()
        if self._ticks == _PLAN_TICKS:
            known = {**self._details, **plan.document(self._environment)}
            self._writer.document(run_folder.BEGIN, run_folder.document(self._run, known))
        if self._ticks % _SAVE_TICKS == 0:
            self.save()

    def _note_moment(self) -> None:
        runner = self._environment.runner
        self._most_users = max(self._most_users, runner.user_count if runner else 0)
        if self._writer is not None:
            row = timeline.row(self._environment, datetime.now(UTC), self._account.collection.by_kind())
            self._writer.append(timeline.append, [row])
