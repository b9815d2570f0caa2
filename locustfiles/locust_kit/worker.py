"""The plugin on a worker: it counts requests, watches memory, and reports both to the master."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from gevent.lock import RLock
from locust.env import Environment
from locust.runners import STATE_INIT, WorkerRunner

from locust_kit.arguments import secrets_of
from locust_kit.connections import RETRIED
from locust_kit.failures.counters import RequestCounters
from locust_kit.guard import guarded, keep_doing, listen_behind, listen_first, position_of
from locust_kit.keep_alive import keep_alive
from locust_kit.loaded_files import Digests
from locust_kit.memory import Memory, resident_bytes
from locust_kit.meters import Meters
from locust_kit.meters.stopping import AFTER_THE_END
from locust_kit.meters.users import COUNTING, EMPTYING
from locust_kit.worker_report import (
    COST_KEY,
    FAILURES_KEY,
    FILES_KEY,
    MEMORY_KEY,
    METERS_KEY,
    NUMBER_KEY,
    PROCESSES_KEY,
    REPORT_KEY,
    RETRIES_KEY,
)

HEARTBEAT = Path("/tmp/locust-kit/heartbeat")  # noqa: S108  a tmpfs of this container alone
"""A file whose time is that of the last heartbeat from the master. docker/locust/health reads its age."""
_LONGEST_TURN_SECONDS = 10.0  # a listener of the test's own that never returns must not hold up a stop
_MOST_IDLE_ENTRIES = 2000


class WorkerPart:
    """The worker's listeners."""

    def __init__(self, environment: Environment, runner: WorkerRunner, loaded: Digests) -> None:
        self._environment = environment
        self._runner = runner
        self._loaded = loaded
        self._counters = RequestCounters()
        self._memory = Memory.of(os.environ)
        self._meters = Meters()
        self._reports = 0

    def listen(self) -> None:
        """Register for Locust's events, and watch the memory of this process."""
        self._memory.watch()
        secrets_of(self._environment)  # makes a parser: now, and in no run
        events = self._environment.events
        events.heartbeat_received.add_listener(guarded(touch_heartbeat))
        keep_doing(self._stay_alive, 1)
        self._counters.listen(self._environment)
        self._meters.listen(self._environment)
        listen_first(events.test_start, guarded(self._meters.begin))  # a listener of the test's own may take its time
        events.test_start.add_listener(guarded(self._memory.settle))
        self._number_reports()
        listen_behind(events.report_to_master, COUNTING, guarded(self._report))
        events.test_stop.add_listener(guarded(self._report_at_once))
        self._report_in_turn()
        keep_alive(
            self._environment, self._runner, "stats_reporter", "heartbeat", "heartbeat_timeout_checker", "worker"
        )

    def _stay_alive(self) -> None:
        """Count as alive while users run on_stop: Locust reads no heartbeat then, and ends itself after a minute."""
        if AFTER_THE_END.is_on and self._runner.worker_state != STATE_INIT:
            touch_heartbeat()
            if self._runner.last_heartbeat_timestamp:
                self._runner.last_heartbeat_timestamp = time.time()

    def _number_reports(self) -> None:
        """Count each report just before Locust moves its statistics into it: from then on it can be lost."""
        event = self._environment.events.report_to_master
        event._handlers.insert(position_of(event, EMPTYING) or 0, self._number)  # noqa: SLF001  no public way between

    def _report_in_turn(self) -> None:
        """Make and send one report at a time: users continue meanwhile, and the master expects reports in order."""
        runner: Any = self._runner
        send, turn = runner._send_stats, RLock()  # noqa: SLF001  there is no public name

        def send_in_turn() -> None:
            is_in_turn = turn.acquire(timeout=_LONGEST_TURN_SECONDS)
            try:
                send()
            finally:
                if is_in_turn:
                    turn.release()

        runner._send_stats = send_in_turn  # noqa: SLF001  as above

    def _number(self, **_: Any) -> None:
        self._reports += 1

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        now = time.monotonic()
        self._drop_idle_entries()
        self._memory.sample(now, resident_bytes())
        data[REPORT_KEY] = {
            NUMBER_KEY: self._reports,
            FILES_KEY: self._loaded,
            METERS_KEY: self._meters.document(),  # first: its run is that of the statistics that Locust just emptied
            MEMORY_KEY: self._memory.document(now),
            RETRIES_KEY: RETRIED.since_last_call(),
            FAILURES_KEY: self._counters.report(in_slices=True),
            COST_KEY: self._counters.cost.document(),
            PROCESSES_KEY: getattr(self._environment.parsed_options, "processes", None) or 1,
        }

    def _drop_idle_entries(self) -> None:
        """Delete the entries that Locust has just emptied if there are many: Locust keeps one for each name forever.

        With 50,000 names each report, and each collection of garbage, would hold all users for a tenth of a second.
        """
        entries = self._environment.stats.entries
        if len(entries) > _MOST_IDLE_ENTRIES and all(not entry.num_requests for entry in entries.values()):
            entries.clear()

    def _report_at_once(self, **_: Any) -> None:
        self._memory.collect()
        # Locust would send the last figures with its next report, up to 3 s after the master called the run stopped.
        self._runner._send_stats()  # noqa: SLF001  what its own reporter calls; there is no public name


def touch_heartbeat(path: Path = HEARTBEAT, **_: Any) -> None:
    """Set the file's time to now. A full or missing tmpfs does not disturb the run; the health check reports it."""
    with contextlib.suppress(OSError):
        path.touch()
