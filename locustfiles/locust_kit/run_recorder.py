"""The master records each run from its start to its end: everything that the verdict needs.

If the master is killed, the last second of the timeline and the last ten seconds of the documents are lost.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import STATE_CLEANUP, STATE_RUNNING, STATE_SPAWNING, STATE_STOPPING

from locust_kit import plan, run_folder, run_statistics, timeline
from locust_kit.arguments import secrets_of
from locust_kit.failures.account import FailureAccount
from locust_kit.failures.settings import Cleaner
from locust_kit.guard import follow_resets, guarded, keep_doing
from locust_kit.load_clock import LoadClock
from locust_kit.locust_tables import LocustTables
from locust_kit.meters import MeterReadings
from locust_kit.meters.stopping import Stopping
from locust_kit.quitting import EndedBy
from locust_kit.status import users_by_class
from locust_kit.writer import Writer

_TICK_SECONDS, _SAVE_TICKS = 1.0, 10
_PLAN_TICKS = 2  # Locust starts its timer right after a run's start
_PATIENCE_SECONDS = 5.0
_RUNNING_STATES = (STATE_SPAWNING, STATE_RUNNING, STATE_STOPPING, STATE_CLEANUP)
_REMEMBERED = 4096


class RunRecorder:
    """Writes the folder of the current run."""

    def __init__(
        self, environment: Environment, failures: FailureAccount, readings: MeterReadings, tables: LocustTables
    ) -> None:
        self._environment = environment
        self._readings = readings
        self._tables = tables
        self._failures = failures
        self.clean = Cleaner(os.environ, _REMEMBERED)
        self._run: run_folder.RunIdentity | None = None
        self._writer: Writer | None = None
        self._details: Mapping[str, Any] = {}
        self._ticks = 0
        self._most_users = 0
        self._most_by_class: dict[str, int] = {}
        self._shape_cut = False
        self._stopped = False
        self._clock = LoadClock(environment)
        self._ended_by: EndedBy | None = None  # what in the user's code ended the run
        self._quit = False  # whether this process was asked to end during a run

    @property
    def is_open(self) -> bool:
        """Return whether a run has begun and has no end marker yet."""
        return self._run is not None

    def problem(self) -> str:
        """Return why a part of the newest run is not on the disk; "" if all parts are."""
        return self._writer.error if self._writer else ""

    @property
    def is_over(self) -> bool:
        """Return whether the listeners of test_stop have been called on this process."""
        return self._stopped

    @property
    def stopping_seconds(self) -> float | None:
        """Return for how many seconds the current run has been stopping; None while it runs, and without a run."""
        return self._clock.stopping_seconds if self.is_open else None

    def listen(self) -> None:
        """Follow each run."""
        events = self._environment.events
        events.spawning_complete.add_listener(guarded(self._spawned))
        follow_resets(self._environment, self._clock.reset)
        events.quitting.add_listener(guarded(self._quitting))
        keep_doing(self._tick, _TICK_SECONDS)

    def begin(self, run: run_folder.RunIdentity, details: Mapping[str, Any]) -> None:
        """Make the folder of a run immediately, so that it exists even if the master dies soon."""
        write_errors = run_folder.WriteErrors(run)
        self._run, self._details, self._ticks = run, details, 0
        self._most_users, self._shape_cut, self._stopped, self._ended_by = 0, False, False, None
        self._most_by_class = {user.__name__: 0 for user in self._environment.user_classes}
        self.clean.know(secrets_of(self._environment))
        self._writer = Writer(run_folder.RUNS / run.run_id, write_errors, frozenset({timeline.append}))
        self._clock.begin()
        self._failures.begin(run.run_id, self._writer)
        plan_details = {**details, **plan.document(self._environment)}
        try:
            run_folder.make(run, plan_details, run_folder.RUNS)
        except OSError as error:
            write_errors(error)
            self._writer.document(run_folder.BEGIN, run_folder.document(run, plan_details))

    def stopping(self, ended_by: EndedBy | None) -> None:
        """Note the end of the load, and the first call of the user's code that ends the run.

        Also note whether a load shape is cut short: a shape that reaches its end stops the run itself.
        """
        self._clock.stop()
        if self._ended_by or self._stopped:
            return
        self._ended_by = ended_by
        shape = getattr(self._environment.runner, "shape_greenlet", None)
        self._shape_cut = shape is not None and shape is not gevent.getcurrent()

    def stopped(self) -> None:
        """Note that the run has ended. Its last figures may still arrive."""
        self._stopped = True

    def end(self, run: run_folder.RunIdentity, reports: Mapping[str, Any]) -> None:
        """Write all documents of the run, the end marker last; `reports` has the workers' data about themselves."""
        if self._writer is None:
            return
        for step in (self._note_moment, self.save):
            guarded(step)()  # the end marker is written even if other documents failed
        try:
            self._writer.document(run_folder.END, run_folder.document(run, {**self._last_figures(), **reports}))
        finally:
            self._run = None

    def _last_figures(self) -> dict[str, Any]:
        meters = self._readings.merged()
        meters |= {Stopping.name: Stopping.cleaned(meters.get(Stopping.name) or {}, self.clean)}
        figures = run_statistics.total(self._environment.stats, self._clock.seconds, meters[Stopping.name])
        return {
            "requests": figures["requests"],
            "failures": figures["failures"],
            **self._clock.document(),
            "most_users": self._most_users,
            "users_by_class": self._most_by_class,
            "shape_cut": self._shape_cut,
            "quit": self._quit,
            "ended_by": self._ended_by.document() if self._ended_by else None,
            "meters": meters,
        }

    def save(self) -> None:
        """Write the documents as of now."""
        if self._writer is not None and self._run is not None:
            self._failures.save()
            after = self._readings.of(Stopping)
            document = run_statistics.document(
                self._run.run_id,
                self._environment.stats,
                self._clock.seconds,
                after,
                self.clean,
                self._clock.span,
                self._tables.names_left_out(),
            )
            self._writer.document(run_statistics.FILE, document)

    def wait(self, **_: Any) -> None:
        """Wait a little for a slow disk before this process ends."""
        if self._writer is not None:
            self._writer.wait(_PATIENCE_SECONDS)

    def _spawned(self, **_: Any) -> None:
        """Count the running users; the event's own number is the requested one."""
        self._count_users()

    def _quitting(self, **_: Any) -> None:
        self._quit = self._run is not None and not self._stopped

    def _tick(self) -> None:
        """Check once a second; the timer of a run is known only after its start."""
        runner = self._environment.runner
        if self._run is None or self._writer is None or runner is None:
            return
        if runner.state not in _RUNNING_STATES and not self._clock.has_ended:
            return
        self._ticks += 1
        self._clock.look()
        self._note_moment()
        if self._ticks == _PLAN_TICKS and not self._clock.has_ended:
            details = {**self._details, **plan.document(self._environment)}
            self._writer.document(run_folder.BEGIN, run_folder.document(self._run, details))
        if self._ticks % _SAVE_TICKS == 0:
            self.save()

    def _note_moment(self) -> None:
        self._count_users()
        if self._writer is not None:
            classes = self._failures.collection.by_kind()
            row = timeline.row(self._environment, datetime.now(UTC), classes, self._readings.moment())
            self._writer.append(timeline.append, [row])

    def _count_users(self) -> None:
        runner = self._environment.runner
        if runner is None:
            return
        self._most_users = max(self._most_users, runner.user_count)
        for name, count in users_by_class(runner).items():
            self._most_by_class[name] = max(self._most_by_class.get(name, 0), count)
