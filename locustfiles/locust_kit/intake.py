"""The master's look at each report of a worker: one that cannot be true reaches no listener, Locust's own included."""

from __future__ import annotations

import time
from typing import Any

from locust.env import Environment
from locust.runners import MasterRunner

from locust_kit.meters import MeterReadings
from locust_kit.report_check import RefusedError, check, has_figures
from locust_kit.worker_report import METERS_KEY, REPORT_KEY


class Intake:
    """What stands before the listeners to `worker_report`."""

    def __init__(self, runner: MasterRunner, readings: MeterReadings) -> None:
        self._runner = runner
        self._refusals = readings.refusals
        self._readings = readings

    def listen(self, environment: Environment) -> None:
        """Look at each report before Locust hands it out."""
        hook: Any = environment.events.worker_report
        fire = hook.fire

        def checked(**passed: Any) -> None:
            if self.lets_in(passed.get("client_id"), passed.get("data")):
                fire(**passed)

        hook.fire = checked

    def lets_in(self, worker: Any, report: Any) -> bool:
        """Return whether a report can be added to the run's figures. One that cannot is counted."""
        if not (isinstance(worker, str) and worker in self._runner.worker_indexes):
            self._refusals.add(worker, "a report of a worker that never registered at this master")
            return False
        try:
            check(report, time.time())
            meters = report.get(REPORT_KEY, {}).get(METERS_KEY) or {}
            is_earlier = has_figures(report) and self._readings.is_of_another_run(meters)
            self._readings.check(worker, meters)
        except RefusedError as refused:
            self._refusals.add(worker, refused.reason, refused.value, changes_figures=has_figures(report))
            return False
        if is_earlier:
            self._refusals.add(worker, "a report of an earlier run")
        return not is_earlier
