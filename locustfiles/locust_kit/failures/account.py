"""The account of a run on the master: all requests, the failed ones, and their times."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from locust.env import Environment

from locust_kit import env
from locust_kit.failures import files, summary
from locust_kit.failures.collection import Collection
from locust_kit.failures.counters import PERFORMANCE_KEY, RequestCounters
from locust_kit.failures.watch import DEFAULT_THRESHOLD, Watch
from locust_kit.guard import keep_doing
from locust_kit.performance import Performance, SlowLimits
from locust_kit.push.pusher import Pusher
from locust_kit.writer import Writer

logger = logging.getLogger("locust_kit")
console = logging.getLogger("locust.stats_logger")  # as Locust prints its own tables: without a prefix

LOCAL = "local"
_LOCAL_SECONDS = 1.0


class FailureAccount:
    """The sums over all workers. `pusher` sends the rows of failures; `writer` keeps them in the run's folder."""

    def __init__(self, environment: Environment, pusher: Pusher | None = None) -> None:
        self.counters: RequestCounters | None = None
        self.collection = Collection()
        self.performance = Performance(SlowLimits.of(os.environ))
        self.watch = Watch(env.value(os.environ, "KIT_FAIL_THRESHOLD", env.share, DEFAULT_THRESHOLD))
        self.writer: Writer | None = None
        self._environment = environment
        self._pusher = pusher
        self._run_id = ""

    def begin(self, run_id: str, writer: Writer) -> None:
        """Begin a run, whose folder `writer` writes."""
        self.reset()
        self.writer = writer
        self._run_id = run_id

    def take(self, worker: str, report: Any) -> None:
        """Add the report of a worker, or of this process itself."""
        self.collection.take(worker, report)
        self.performance.take(report.get(PERFORMANCE_KEY) or [])
        if self.writer is not None:
            rows = self.collection.waiting()
            if self._pusher is not None:
                self._pusher.take(self._run_id, rows)
            self.writer.append(files.append, rows)

    def reset(self, **_: Any) -> None:
        """Forget the counts when Locust resets its own statistics; files on disk stay."""
        self.collection = Collection()
        self.performance.forget()

    def end(self) -> None:
        """Add the last local report, and print a summary on the console."""
        if self.counters is not None:
            self.take(LOCAL, self.counters.report())
        failed = summary.lines(self.collection, self._environment.stats.total.num_requests)
        for line in (*failed, *self.performance.lines()):
            console.info(line)

    def save(self) -> None:
        """Write the documents as of now."""
        if self.writer is not None:
            self.writer.document(files.GROUPS, self.document())
            self.writer.document(files.PERFORMANCE, self.times())

    def document(self) -> dict[str, Any]:
        """Return all groups of the run."""
        return summary.document(self._run_id, self.collection, self._environment.stats.total.num_requests)

    def times(self) -> dict[str, Any]:
        """Return how long the run's requests took."""
        return self.performance.document(self._run_id)

    def status(self) -> dict[str, Any]:
        """Return a short account for the status document."""
        return {
            "failures": self.collection.failures,
            "task_errors": self.collection.task_errors,
            "classes": {str(kind): count for kind, count in self.collection.by_kind().items()},
            "recent_ratio": self.watch.ratio,
            "too_many": self.watch.is_high,
            "groups": summary.largest(self.collection),
        }

    def look(self) -> None:
        """Check the share of failed requests; called once a second."""
        total = self._environment.stats.total  # another object after each reset
        if line := self.watch.look(time.monotonic(), total.num_requests, total.num_failures):
            logger.warning("locust-kit: %s", line)

    def count_here(self) -> RequestCounters:
        """Make counters for the requests of this process, and add their report once a second."""
        counters = self.counters = RequestCounters()

        def report_here() -> None:
            self.take(LOCAL, counters.report())

        keep_doing(report_here, _LOCAL_SECONDS)
        return counters
