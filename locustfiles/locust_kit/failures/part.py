"""The parts that worker and master take in the account of requests. The plugin ties them to Locust's events."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from locust_kit import given
from locust_kit.cost import EVERY, Cost
from locust_kit.guard import Warned, keep_doing
from locust_kit.performance import MOST_ENDPOINTS, Performance, SlowLimits

from . import files, summary
from .capture import Capture
from .collect import Collection
from .settings import CaptureSettings, redactor
from .watch import DEFAULT_THRESHOLD, Watch

if TYPE_CHECKING:
    from locust.env import Environment

    from locust_kit.push.part import Pusher
    from locust_kit.writer import Writer

logger = logging.getLogger("locust_kit")
console = logging.getLogger("locust.stats_logger")  # as Locust prints its own tables: without a prefix

REPORT_KEY, PERFORMANCE_KEY = "failures", "performance"
LOCAL = "local"
_LOCAL_SECONDS = 1.0
_REMEMBERED = 512  # texts without secrets: most failures say what others said before, at the same address


class RequestCounters:
    """What counts requests in a process that has users: failures, and times; and what that costs."""

    def __init__(self) -> None:
        clean = redactor(os.environ).text
        self.cost = Cost()
        self._failures = Capture(CaptureSettings.of(os.environ), lru_cache(_REMEMBERED)(clean))
        self._times = Performance(SlowLimits.of(os.environ), lru_cache(MOST_ENDPOINTS)(clean))
        self._failures_failed = Warned("counting failures")
        self._times_failed = Warned("counting times")

    def on_request(
        self,
        request_type: str,
        name: str,
        response_time: float | None,
        response_length: int | None = None,
        exception: Any = None,
        response: Any = None,
        context: Mapping[Any, Any] | None = None,
        url: str | None = None,
        **_: Any,
    ) -> None:
        """Hear of a request: the plugin's only listener to `request`, since each one more costs a good request 1 µs.

        So it has a guard of its own, one for each part; and the times of one call in `EVERY` are taken in here.
        """
        cost = self.cost
        cost.calls += 1
        began = 0.0 if cost.calls % EVERY else cost.clock()
        try:
            self._times.on_request(request_type, name, response_time, exception)
        except Exception as error:  # noqa: BLE001  whatever it is, the run goes on
            self._times_failed(error)
        if exception is not None:
            try:
                self._failures.on_request(
                    request_type, name, response_time, response_length, exception, response, context, url
                )
            except Exception as error:  # noqa: BLE001  as above
                self._failures_failed(error)
        if began:
            cost.took(began)

    def on_user_error(self, **passed: Any) -> None:
        """Count an exception in a task."""
        self._failures.on_user_error(**passed)

    def forget(self, **_: Any) -> None:
        """Drop what was not reported yet, when Locust drops its own statistics: as a run starts, or is reset."""
        self.report()

    def report(self) -> dict[str, Any]:
        """What came since the last report, for the wire; the time it takes to make is among the cost."""
        return self.cost.whole(lambda: {**self._failures.report(), PERFORMANCE_KEY: self._times.report()})


class FailureAccount:
    """The master's account of a run's requests: which failed, and how long they took; `pusher` sends rows on."""

    def __init__(self, environment: Environment, pusher: Pusher | None = None) -> None:
        self.counted: RequestCounters | None = None  # in a Locust without workers: what counts in this process
        self._environment = environment
        self._pusher = pusher
        self.collection = Collection()
        self.performance = Performance(SlowLimits.of(os.environ))
        self.watch = Watch(given.value(os.environ, "KIT_FAIL_THRESHOLD", given.share, DEFAULT_THRESHOLD))
        self.writer: Writer | None = None
        self._run_id = ""

    def begin(self, run_id: str, writer: Writer) -> None:
        """Start the account of a run, which `writer` keeps in its folder."""
        self.reset()
        self.writer = writer
        self._run_id = run_id

    def take(self, worker: str, report: Any) -> None:
        """Add what a worker, or this process itself, reported."""
        self.collection.take(worker, report)
        self.performance.take(report.get(PERFORMANCE_KEY) or [])
        if self.writer is not None:
            rows = self.collection.waiting()
            if self._pusher is not None:
                self._pusher.take(self._run_id, rows)
            self.writer.append(files.append, rows)

    def reset(self, **_: Any) -> None:
        """Forget the counts, as Locust's own statistics are reset; what is on disk stays."""
        self.collection = Collection()
        self.performance.forget()

    def end(self) -> None:
        """Take the last in, and tell the gist of it on the console."""
        if self.counted is not None:
            self.take(LOCAL, self.counted.report())
        failed = summary.lines(self.collection, self._environment.stats.total.num_requests)
        for line in (*failed, *self.performance.lines()):
            console.info(line)

    def save(self) -> None:
        """Have the documents on disk as of now."""
        if self.writer is not None:
            self.writer.document(files.GROUPS, self.document())
            self.writer.document(files.PERFORMANCE, self.times())

    def document(self) -> dict[str, Any]:
        """All groups of the run."""
        return summary.document(self._run_id, self.collection, self._environment.stats.total.num_requests)

    def times(self) -> dict[str, Any]:
        """How long the run's requests took."""
        return self.performance.document(self._run_id)

    def status(self) -> dict[str, Any]:
        """The account in short."""
        return {
            "failures": self.collection.failures,
            "task_errors": self.collection.task_errors,
            "classes": {str(kind): count for kind, count in self.collection.by_kind().items()},
            "recent_ratio": self.watch.ratio,
            "too_many": self.watch.is_high,
            "groups": summary.largest(self.collection),
        }

    def look(self) -> None:
        """Look at the share of failed requests; to be called once a second."""
        total = self._environment.stats.total  # another object after each reset
        if line := self.watch.look(time.monotonic(), total.num_requests, total.num_failures):
            logger.warning("locust-kit: %s", line)

    def count_here(self) -> RequestCounters:
        """Count in this process, too, and take that in once a second: for a Locust without workers."""
        counted = self.counted = RequestCounters()

        def report_here() -> None:
            self.take(LOCAL, counted.report())

        keep_doing(report_here, _LOCAL_SECONDS)
        return counted
