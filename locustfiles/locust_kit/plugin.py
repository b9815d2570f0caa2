"""Ties the parts to Locust's events. A fault in here is one warning, never the end of a run."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import gevent
from locust.runners import STATE_INIT, STATE_MISSING, STATE_RUNNING, STATE_STOPPING, MasterRunner, WorkerRunner

from . import connections, heartbeat, incidents_tab, plan, run_folder, shared_tls, status
from .failures import part as failures
from .failures import tab as failures_tab
from .guard import Parts, guarded, keep_doing
from .keep_users import Load, Shortfall
from .labels import Labels
from .loaded_files import Digests, Disk, combined, loaded_modules
from .memory import Memory, resident_bytes
from .push.part import pusher_of
from .run_record import RunRecorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.env import Environment
    from locust.event import Events

logger = logging.getLogger("locust_kit")

REPORT_KEY, MEMORY_KEY, COST_KEY, RETRIES_KEY = "locust_kit", "memory", "cost", "retries"
_LAST_REPORTS_SECONDS = 2.0  # Locust waits for them for 0.5 s, and twice


def install(events: Events) -> None:
    """Wait for Locust's init, then take this process's part: master, worker, or both in one."""
    events.init.add_listener(guarded(_on_init))


def _on_init(environment: Environment, **_: Any) -> None:
    own = loaded_modules()
    if not isinstance(environment.runner, MasterRunner):
        _change_clients()
    if isinstance(environment.runner, WorkerRunner):
        _be_worker(environment, environment.runner, own)
    else:
        MasterPart(environment, own).listen()


def _change_clients() -> None:
    """Have all users of this process share and connect as the environment says; what cannot be is one warning each."""
    parts: tuple[Callable[[], str], ...] = (
        lambda: shared_tls.install(shared_tls.TlsSettings.from_environ(os.environ)),
        lambda: connections.install(connections.ConnectionSettings.from_environ(os.environ)),
    )
    for install_part in parts:
        try:
            logger.info("locust-kit: %s", install_part())
        except ValueError as error:  # a file that cannot be used, a value that only an own .env can have brought in
            logger.warning("locust-kit: users connect as Locust has it: %s", error)


def _be_worker(environment: Environment, runner: WorkerRunner, own: Digests) -> None:
    counted, used, parts = failures.RequestCounters(), Memory.of(os.environ), Parts()
    cost = counted.cost
    used.watch()

    def report(data: dict[str, Any], **_: Any) -> None:
        now = time.monotonic()
        used.sample(now, resident_bytes())
        made = {
            "files": own,
            failures.REPORT_KEY: counted.report(),
            MEMORY_KEY: used.document(now),
            RETRIES_KEY: connections.RETRIED.news(),
        }
        checked = cost.whole(lambda: parts.sendable(made))
        data[REPORT_KEY] = {**checked, COST_KEY: cost.document()}

    def report_at_once(**_: Any) -> None:
        used.collect()
        # Locust would send the last figures with its next report, up to 3 s after the master called the run stopped.
        runner._send_stats()  # noqa: SLF001  what its own reporter calls; there is no public name

    environment.events.heartbeat_received.add_listener(guarded(lambda **_: heartbeat.touch()))
    _count(environment, counted)
    environment.events.test_start.add_listener(guarded(used.settle))
    environment.events.report_to_master.add_listener(guarded(report))
    environment.events.test_stop.add_listener(guarded(report_at_once))


def _count(environment: Environment, counted: failures.RequestCounters) -> None:
    """Have requests counted, from the moments on at which Locust's own statistics start at 0."""
    events = environment.events
    events.request.add_listener(counted.on_request)  # guarded itself
    events.user_error.add_listener(guarded(counted.on_user_error))
    events.test_start.add_listener(guarded(counted.forget))
    if environment.reset_stats:
        events.spawning_complete.add_listener(guarded(counted.forget))


class MasterPart:
    """The master's part: the identity of each run, and what each worker loaded."""

    def __init__(self, environment: Environment, own: Digests) -> None:
        self._environment = environment
        self._own = own
        self._run: run_folder.RunIdentity | None = None
        self._workers: dict[str, Digests] = {}
        # By worker, as each last said in this run.
        self._told: dict[str, dict[str, Any]] = {MEMORY_KEY: {}, COST_KEY: {}}
        self._labels = Labels(environment.parsed_options, os.environ)
        self._judging = plan.RunCriteria(environment.parsed_options, os.environ)
        self._retries = 0  # in this run, as far as workers have told
        self._disk = Disk()
        self._pusher = pusher_of(os.environ, run_folder.RUNS)
        self._failures = failures.FailureAccount(environment, self._pusher)
        self._record = RunRecorder(environment, self._failures)

    def listen(self) -> None:
        """Register for the events and, with a web UI, for the status page."""
        events = self._environment.events
        events.test_start.add_listener(guarded(self._test_start))
        events.test_stopping.add_listener(guarded(self._test_stopping))
        events.test_stop.add_listener(guarded(self._test_stop))
        events.worker_report.add_listener(guarded(self._worker_report))
        events.quit.add_listener(guarded(self._close))
        for ending in (events.quitting, events.quit):  # workers send last rows after `quitting`
            ending.add_listener(guarded(self._record.keep))
        if self._pusher:
            self._pusher.start()
            events.test_stop.add_listener(guarded(self._pusher.flush))  # after the account has taken the last rows
            events.quitting.add_listener(guarded(self._pusher.keep))
            events.quit.add_listener(guarded(self._pusher.keep))  # workers send last rows after `quitting`
        events.reset_stats.add_listener(guarded(self._failures.reset))
        if self._environment.reset_stats:
            events.spawning_complete.add_listener(guarded(self._failures.reset))
        keep_doing(self._failures.look, 1)
        self._record.listen()
        keep_doing(self._end_if_over, 1)
        if isinstance(self._environment.runner, MasterRunner):
            _keep_users(self._environment.runner)
        else:
            _count(self._environment, self._failures.count_here())
        web_ui = self._environment.web_ui
        if web_ui and web_ui.app:
            options = self._environment.parsed_options
            base = getattr(options, "web_base_path", None) or ""
            view = web_ui.auth_required_if_enabled(self._status)
            web_ui.app.add_url_rule(f"{base}/locust-kit/status", "locust_kit_status", view)
            failures_tab.install(web_ui.app, web_ui, base, self._failures)
            incidents_tab.install(web_ui.app, web_ui.template_args, base)

    def _test_start(self, **_: Any) -> None:
        self._close()
        self._run = run_folder.begin(datetime.now(UTC), self._labels.of_this_run())
        details = {
            "host": self._environment.host,
            "user_classes": [user.__name__ for user in self._environment.user_classes],
            "locustfile": {"sha256": combined(self._own), "files": self._own},
            "judge": self._judging.of_this_run(),
        }
        self._take_own_retries()
        self._retries = 0
        for told in self._told.values():
            told.clear()
        if self._pusher:
            self._pusher.begin(self._run.run_id, self._run.labels)
        self._record.begin(self._run, details)

    def _test_stopping(self, **_: Any) -> None:
        if self._run:
            self._run = run_folder.stopping(self._run)
            self._record.stopping()
        self._end_ramp()

    def _end_ramp(self) -> None:
        """End a ramp that is under way, as Locust's Stop button does; its timer forgets to, and users go on coming."""
        ramp = getattr(self._environment.web_ui, "_swarm_greenlet", None)
        if ramp is not None and ramp is not gevent.getcurrent():
            ramp.kill(block=False)

    def _end_if_over(self) -> None:
        """End a run whose last users have stopped: with a worker missing, Locust itself waits a minute longer."""
        runner = self._environment.runner
        if isinstance(runner, MasterRunner) and runner.state == STATE_STOPPING and not runner.user_count:
            states = {client.state for client in runner.clients.values()}
            if STATE_MISSING in states and states <= {STATE_MISSING, STATE_INIT}:
                self._test_stop()

    def _test_stop(self, **_: Any) -> None:
        if self._run and self._run.ended_at is None:
            self._run = run_folder.ended(self._run, datetime.now(UTC))
            self._record.stopped()
            runner = self._environment.runner
            if runner and runner.user_count:  # Locust itself ends, and its workers will hear of it now
                gevent.spawn_later(_LAST_REPORTS_SECONDS, guarded(self._close))
            else:
                self._close()

    def _close(self, **_: Any) -> None:
        """Write the end of a run down, if that was not done: when its workers have sent their last figures."""
        if not (self._run and self._run.ended_at and self._record.is_open):
            return
        self._failures.end()
        self._take_own_retries()
        if self._retries:
            logger.warning("locust-kit: RETRIES: %s", connections.told(self._retries))
        self._record.end(self._run, {RETRIES_KEY: self._retries, **self._told})

    def _worker_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        report = data.get(REPORT_KEY)
        if not isinstance(report, dict):
            return
        if isinstance(report.get("files"), dict):
            self._workers[client_id] = report["files"]
        for key, told in self._told.items():
            if isinstance(report.get(key), dict):
                told[client_id] = report[key]
        if isinstance(report.get(RETRIES_KEY), int):
            self._retries += report[RETRIES_KEY]
        if failures.REPORT_KEY in report:
            self._failures.take(client_id, report[failures.REPORT_KEY])

    def _take_own_retries(self) -> None:
        if not isinstance(self._environment.runner, MasterRunner):
            self._retries += connections.RETRIED.news()

    def _status(self) -> dict[str, Any]:
        runner = self._environment.runner
        connected = runner.clients if isinstance(runner, MasterRunner) else {}
        self._workers = {name: digests for name, digests in self._workers.items() if name in connected}
        known = status.document(self._environment, self._run, self._own, self._workers, self._disk)
        here = self._failures.counted
        own = {COST_KEY: {failures.LOCAL: here.cost.document()}} if here else {}
        self._take_own_retries()
        push = self._pusher.status() if self._pusher else None
        return {
            **known,
            "failures": self._failures.status(),
            **self._told,
            **own,
            "push": push,
            RETRIES_KEY: {"count": self._retries},
        }


def _keep_users(runner: MasterRunner) -> None:
    """Look once a second, for as long as the master lives."""
    shortfall = Shortfall()

    def look_for_users() -> None:
        load = Load(
            running=runner.state == STATE_RUNNING,
            users=runner.user_count,
            target_users=runner.target_user_count or 0,
            workers=runner.worker_count,
            missing_workers=len(runner.clients.missing),
        )
        if shortfall.lasting(load, time.monotonic()):
            logger.info("locust-kit: %d of %d users after workers left, asking for all", load.users, load.target_users)
            runner.start(load.target_users, runner.spawn_rate)

    keep_doing(look_for_users, 1)
