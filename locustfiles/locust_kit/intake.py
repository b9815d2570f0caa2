"""Check each report of a worker on the master: an impossible report reaches no listener, not even Locust's own."""

from __future__ import annotations

import time
from typing import Any

from locust.env import Environment
from locust.runners import STATE_MISSING, STATE_RUNNING, STATE_SPAWNING, MasterRunner

from locust_kit.guard import keep_doing
from locust_kit.locust_tables import LocustTables
from locust_kit.meters import MeterReadings
from locust_kit.report_check import ImpossibleError, check, has_figures
from locust_kit.silence import WorkerAtWork
from locust_kit.worker_report import METERS_KEY, NUMBER_KEY, REPORT_KEY

_MOST_LOST = 1000


class Intake:
    """The check before the listeners to `worker_report`."""

    def __init__(self, runner: MasterRunner, readings: MeterReadings, tables: LocustTables) -> None:
        self._runner = runner
        self._refusals = readings.refusals
        self._readings = readings
        self._tables = tables
        self._numbered_run = ""
        self._numbers: dict[str, int] = {}  # of the last report of each worker

    def listen(self, environment: Environment) -> None:
        """Check each report before Locust passes it to the listeners."""
        hook: Any = environment.events.worker_report
        fire = hook.fire

        def checked(**passed: Any) -> None:
            if self.lets_in(passed.get("client_id"), passed.get("data")):
                self._tables.fit(passed["data"])
                fire(**passed)
                self._tables.shrink()

        hook.fire = checked
        keep_doing(self._look, 1)

    def end(self) -> None:
        """Check for silent workers a last time, at the end of a run."""
        present = [client.id for client in self._runner.clients.values() if client.state != STATE_MISSING]
        self._readings.silence.end(present, time.time())

    def _look(self) -> None:
        """Look for workers whose heartbeats arrive, but whose reports do not."""
        if self._readings.run_id and self._runner.state in (STATE_SPAWNING, STATE_RUNNING):
            at_work = [
                WorkerAtWork(client.id, client.user_count)
                for client in self._runner.clients.values()
                if client.state in (STATE_SPAWNING, STATE_RUNNING) and client.heartbeat > 0 and client.user_count
            ]
            self._readings.silence.look(at_work, time.time())

    def lets_in(self, worker: Any, report: Any) -> bool:
        """Return whether a report can be added to the run's figures. Count a refused report."""
        if not (isinstance(worker, str) and worker in self._runner.worker_indexes):
            self._refusals.add(worker, "a report from a worker that is not registered at this master")
            return False
        self._readings.silence.heard(worker)
        self._count_lost(worker, report)
        try:
            check(report, time.time())
            meters = report.get(REPORT_KEY, {}).get(METERS_KEY) or {}
            is_earlier = has_figures(report) and self._readings.is_of_another_run(meters)
            self._readings.check(worker, meters)
        except ImpossibleError as refused:
            self._refusals.add(worker, refused.reason, refused.value, changes_figures=has_figures(report))
            return False
        if is_earlier:
            self._refusals.add(worker, "a report from an earlier run")
        return not is_earlier

    def _count_lost(self, worker: str, report: Any) -> None:
        """Count the reports that the worker sent between the last one and this one, but that did not arrive."""
        part = report.get(REPORT_KEY) if isinstance(report, dict) else None
        number = part.get(NUMBER_KEY) if isinstance(part, dict) else None
        if type(number) is not int:
            return
        if self._readings.run_id != self._numbered_run:
            self._numbered_run, self._numbers = self._readings.run_id, {}
        last = self._numbers.get(worker, number)
        self._numbers[worker] = number
        if (lost := min(number - last - 1, _MOST_LOST)) > 0:
            self._refusals.add(worker, "a report was lost on the way", changes_figures=True, count=lost)
