"""The plugin on the master, also in a Locust without workers: identity, record and worker reports of each run."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import STATE_INIT, STATE_MISSING, STATE_RUNNING, STATE_SPAWNING, STATE_STOPPING, MasterRunner

from locust_kit import connections, incidents_tab, plan, run_folder, status, timeline
from locust_kit.arguments import RunArguments
from locust_kit.failures import tab as failures_tab
from locust_kit.failures.account import LOCAL, FailureAccount
from locust_kit.guard import follow_resets, guarded, keep_doing
from locust_kit.intake import Intake
from locust_kit.keep_alive import keep_alive
from locust_kit.loaded_files import Digests, Disk, combined
from locust_kit.locust_tables import LocustTables
from locust_kit.messages import Inbox
from locust_kit.meters import LABELS_FIELD, RUN_FIELD, MeterReadings, Meters
from locust_kit.meters.stopping import listeners
from locust_kit.meters.users import UserMeter
from locust_kit.push.pusher import pusher_of
from locust_kit.quitting import MasterEnd, stopping_call
from locust_kit.run_recorder import RunRecorder
from locust_kit.shortfall import keep_users
from locust_kit.strict_json import StrictProvider
from locust_kit.worker_report import (
    COST_KEY,
    FAILURES_KEY,
    FILES_KEY,
    MEMORY_KEY,
    METERS_KEY,
    PROCESSES_KEY,
    REPORT_KEY,
    RETRIES_KEY,
)

logger = logging.getLogger("locust_kit")

_AT_WORK = (STATE_RUNNING, STATE_SPAWNING)  # a worker's state until it has reported its stop
_LONGEST_GOODBYE_SECONDS, _LOOK_SECONDS = 600.0, 0.1
_RETURN_SECONDS = 5.0  # after STOP_TIMEOUT
_LAST_REPORTS_SECONDS = 2.0  # Locust waits for them for 0.5 s, and twice


class WorkerReports:
    """The workers' reports: by worker its loaded files, memory and the plugin's cost; and the run's retries."""

    def __init__(self) -> None:
        self.files: dict[str, Digests] = {}
        self.latest: dict[str, dict[str, Any]] = {MEMORY_KEY: {}, COST_KEY: {}}  # of this run
        self.retries = 0

    def take(self, worker: str, report: dict[str, Any]) -> None:
        """Add one report; ignore parts that are missing or of another type."""
        if isinstance(report.get(FILES_KEY), dict):
            self.files[worker] = report[FILES_KEY]
        for key, by_worker in self.latest.items():
            if isinstance(report.get(key), dict):
                by_worker[worker] = report[key]
        if isinstance(report.get(RETRIES_KEY), int):
            self.retries += report[RETRIES_KEY]

    def begin_run(self) -> None:
        """Forget the figures of the run before; keep the workers' loaded files."""
        self.retries = 0
        for by_worker in self.latest.values():
            by_worker.clear()


class MasterPart:
    """The master's listeners, and its pages in Locust's web UI."""

    def __init__(self, environment: Environment, loaded: Digests) -> None:
        self._environment = environment
        self._loaded = loaded
        self._own_host = str(environment.host or "")  # before any run brings another
        self._made_at = time.monotonic()
        self._run: run_folder.RunIdentity | None = None
        self._reports = WorkerReports()
        self._labels = plan.Labels(environment.parsed_options, os.environ)
        self._criteria = plan.RunCriteria(environment.parsed_options, os.environ)
        self._arguments = RunArguments(environment)
        self._judge: dict[str, Any] = {}
        self._disk = Disk(loaded)
        self._pusher = pusher_of(os.environ, run_folder.RUNS)
        self._failures = FailureAccount(environment, self._pusher)
        self._readings = MeterReadings()
        self._intake: Intake | None = None
        self._own_meters: Meters | None = None
        self._workers_at_end, self._return_by = 0, 0.0
        self._tables = LocustTables(environment)
        self._recorder = RunRecorder(environment, self._failures, self._readings, self._tables)
        self._master_end = MasterEnd(environment, self._recorder.stopping, self._end_at_quit)

    def listen(self) -> None:
        """Register for Locust's events; add the pages if there is a web UI."""
        events = self._environment.events
        events.test_start.add_listener(guarded(self._test_start))
        events.test_stopping.add_listener(guarded(self._test_stopping))
        events.test_stop.add_listener(guarded(self._test_stop))
        events.worker_report.add_listener(guarded(self._worker_report))
        events.quit.add_listener(guarded(self._close))
        for ending in (events.quitting, events.quit):  # workers send last rows after `quitting`
            ending.add_listener(guarded(self._recorder.wait))
        if self._pusher:
            self._pusher.start()
            events.test_stop.add_listener(guarded(self._pusher.flush))  # after the account has taken the last rows
            for ending in (events.quitting, events.quit):  # as above
                ending.add_listener(guarded(self._pusher.keep))
        follow_resets(self._environment, self._failures.reset)
        keep_doing(self._failures.look, 1)
        self._recorder.listen()
        self._master_end.listen()
        keep_doing(self._end_if_over, 1)
        if isinstance(self._environment.runner, MasterRunner):
            shortfall = keep_users(self._environment.runner, self._finished)
            events.test_start.add_listener(guarded(lambda **_: shortfall.begin()))
            Inbox(self._environment.runner, self._readings.refusals).listen()
            self._intake = Intake(self._environment.runner, self._readings, self._tables)
            self._intake.listen(self._environment)
            keep_alive(self._environment, self._environment.runner, "client_listener", "heartbeat_worker")
            self._failures.count_here().listen(self._environment)  # the test's own listeners may report requests here
        else:
            self._failures.count_here().listen(self._environment)
            self._own_meters = Meters()
            self._own_meters.listen(self._environment)
            keep_doing(self._read_own_meters, 1)
        self._add_pages()

    def _add_pages(self) -> None:
        web_ui = self._environment.web_ui
        if web_ui and web_ui.app:
            base = getattr(self._environment.parsed_options, "web_base_path", None) or ""
            web_ui.app.json = StrictProvider(web_ui.app)
            view = web_ui.auth_required_if_enabled(self._status)
            self._arguments.install(web_ui.app, web_ui.auth_required_if_enabled, base)
            web_ui.app.add_url_rule(f"{base}/locust-kit/status", "locust_kit_status", view)
            failures_tab.install(web_ui.app, web_ui, base, self._failures)
            incidents_tab.install(web_ui.app, web_ui.template_args, base)

    def _test_start(self, **_: Any) -> None:
        self._close()
        self._run = run_folder.begin(datetime.now(UTC), self._labels.of_this_run())
        self._judge = self._criteria.of_this_run()
        details = {
            "host": self._recorder.clean(self._environment.host) if self._environment.host else None,
            "user_classes": [user.__name__ for user in self._environment.user_classes],
            "locustfile": {"sha256": combined(self._loaded), "files": self._loaded},
            "judge": self._judge,
            "fixed_counts": {
                user.__name__: user.fixed_count for user in self._environment.user_classes if user.fixed_count
            },
            "arguments": self._arguments.values(),
        }
        self._take_own_retries()
        self._reports.begin_run()
        if self._pusher:
            self._pusher.begin(self._run.run_id, self._run.labels)
        self._readings.begin(self._run.run_id)
        if self._environment.parsed_options:
            setattr(self._environment.parsed_options, RUN_FIELD, self._run.run_id)
            setattr(self._environment.parsed_options, LABELS_FIELD, self._run.labels)
        if self._own_meters:
            self._own_meters.begin()
        self._recorder.begin(self._run, details)

    def _test_stopping(self, **_: Any) -> None:
        if self._run:
            self._run = run_folder.stopping(self._run)
            self._recorder.stopping(stopping_call())
            self._workers_at_end, self._return_by = getattr(self._environment.runner, "worker_count", 0), 0.0
        self._end_ramp()

    def _end_ramp(self) -> None:
        """End a current ramp, as Locust's Stop button does: Locust's timer would let it go on starting users."""
        ramp = getattr(self._environment.web_ui, "_swarm_greenlet", None)
        if ramp is not None and ramp is not gevent.getcurrent():
            ramp.kill(block=False)

    def _end_if_over(self) -> None:
        """End a run whose last users have stopped: if a worker is missing, Locust itself waits a minute longer."""
        runner = self._environment.runner
        if isinstance(runner, MasterRunner) and runner.state == STATE_STOPPING and not runner.user_count:
            states = {client.state for client in runner.clients.values()}
            if STATE_MISSING in states and states <= {STATE_MISSING, STATE_INIT}:
                self._test_stop()

    def _test_stop(self, **_: Any) -> None:
        if self._run and self._run.ended_at is None:
            self._run = run_folder.ended(self._run, datetime.now(UTC))
            self._recorder.stopped()
            runner = self._environment.runner
            if isinstance(runner, MasterRunner):
                gevent.spawn(guarded(self._close_when_reported), runner, self._run.run_id)
            else:
                self._close()

    def _workers_to_return(self) -> int:
        """Return how many workers of the last run will register again. Locust has them wait for STOP_TIMEOUT first."""
        runner = self._environment.runner
        is_over = self._run is not None and self._run.ended_at and time.monotonic() < self._return_by
        return max(0, self._workers_at_end - runner.worker_count) if is_over and isinstance(runner, MasterRunner) else 0

    def _close_when_reported(self, runner: MasterRunner, run_id: str) -> None:
        """Close the run of this id when no worker is busy any more: the test's test_stop listeners may take long.

        If the next run has begun, there is nothing left to do. If users are left, Locust itself ends, and its workers
        only learn it now.
        """
        most = _LAST_REPORTS_SECONDS if runner.user_count else _LONGEST_GOODBYE_SECONDS
        with gevent.Timeout(most, False):  # noqa: FBT003  gevent's own form of call
            while self._is_of(run_id) and any(client.state in _AT_WORK for client in runner.clients.values()):
                gevent.sleep(_LOOK_SECONDS)
        if not self._is_of(run_id):
            return
        self._return_by = time.monotonic() + float(self._environment.stop_timeout or 0) + _RETURN_SECONDS
        self._close()

    def _is_of(self, run_id: str) -> bool:
        return self._run is not None and self._run.run_id == run_id

    def _end_at_quit(self) -> None:
        """End the run of a master that receives no more messages, and wait until its end is on the disk."""
        self._test_stop()
        self._close()
        self._recorder.wait()

    def _close(self, **_: Any) -> None:
        """Write the end of a run once its workers have sent their last figures."""
        if not (self._run and self._run.ended_at and self._recorder.is_open):
            return
        try:
            for step in (self._look_last, self._failures.end, self._read_own_meters, self._note_retries):
                guarded(step)()  # a failed step must not leave the run open: the next run would inherit its counts
        finally:
            self._recorder.end(self._run, {RETRIES_KEY: self._reports.retries, **self._reports.latest})

    def _look_last(self) -> None:
        if self._intake:
            self._intake.end()

    def _note_retries(self) -> None:
        self._take_own_retries()
        if self._reports.retries:
            logger.warning("locust-kit: RETRIES: %s", connections.retry_note(self._reports.retries))

    def _worker_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        report = data.get(REPORT_KEY)
        if not isinstance(report, dict):
            return
        self._reports.take(client_id, report)
        runner = self._environment.runner
        if isinstance(runner, MasterRunner) and PROCESSES_KEY in report:
            timeline.note_processes(runner, client_id, report[PROCESSES_KEY])
        if isinstance(report.get(METERS_KEY), dict):
            self._readings.take(client_id, report[METERS_KEY])
        if FAILURES_KEY in report:
            self._failures.take(client_id, report[FAILURES_KEY])

    def _read_own_meters(self) -> None:
        if self._own_meters:
            self._readings.take(LOCAL, self._own_meters.document())

    def _finished(self) -> int:
        """Return how many users ended themselves and were not replaced."""
        return int(self._readings.of(UserMeter).get("finished_now", 0))

    def _take_own_retries(self) -> None:
        if not isinstance(self._environment.runner, MasterRunner):
            self._reports.retries += connections.RETRIED.since_last_call()

    def _status(self) -> dict[str, Any]:
        runner, reports = self._environment.runner, self._reports
        connected = runner.clients if isinstance(runner, MasterRunner) else {}
        reports.files = {worker: digests for worker, digests in reports.files.items() if worker in connected}
        self._take_own_retries()
        counters = None if isinstance(runner, MasterRunner) else self._failures.counters
        return {
            **status.document(
                self._environment,
                self._run,
                self._loaded,
                reports.files,
                self._disk,
                self._recorder.clean,
                host=self._own_host,
            ),
            "failures": self._failures.status(),
            **reports.latest,
            **({COST_KEY: {LOCAL: counters.cost.document()}} if counters else {}),
            "push": self._pusher.status() if self._pusher else None,
            RETRIES_KEY: {"count": reports.retries},
            METERS_KEY: self._readings.merged(),
            "is_run_open": self._recorder.is_open,
            "workers_to_return": self._workers_to_return(),
            "stopping_seconds": self._recorder.stopping_seconds,
            "waits_for": "" if self._recorder.is_over else ", ".join(listeners(self._environment)),
            "judge": self._judge,
            "record_error": self._recorder.problem(),
            "is_ending": self._master_end.is_ending,
            "uptime_seconds": round(time.monotonic() - self._made_at, 1),
            "arguments": self._arguments.documents(),
            "shapes": self._arguments.shapes(),
        }
