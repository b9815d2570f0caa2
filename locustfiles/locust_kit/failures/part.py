"""The parts that worker and master take in the account of failures. The plugin ties them to Locust's events."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent

from locust_kit.redaction import Redactor

from . import summary
from .capture import Capture
from .collect import Collection
from .settings import Settings
from .watch import Watch, threshold_of
from .writer import Writer

if TYPE_CHECKING:
    from locust.env import Environment

logger = logging.getLogger("locust_kit")
console = logging.getLogger("locust.stats_logger")  # as Locust prints its own tables: without a prefix

REPORT_KEY = "failures"
LOCAL = "local"
_LOCAL_SECONDS = 1.0


def capture() -> Capture:
    """What counts failures in this process."""
    return Capture(Settings.of(os.environ), Redactor().text)


class Account:
    """The master's account of the failures of a run."""

    def __init__(self, environment: Environment) -> None:
        self.counted: Capture | None = None  # in a Locust without workers: what counts in this process
        self._environment = environment
        self.collection = Collection()
        self.watch = Watch(threshold_of(os.environ.get("KIT_FAIL_THRESHOLD", "")))
        self.folder: Path | None = None
        self._writer: Writer | None = None
        self._run_id = ""

    def begin(self, run_id: str, folder: Path) -> None:
        """Start the account of a run."""
        self.collection = Collection()
        self._writer = Writer(folder)
        self.folder = folder
        self._run_id = run_id

    def take(self, worker: str, report: Any) -> None:
        """Add what a worker, or this process itself, reported."""
        self.collection.take(worker, report)
        if self._writer is not None:
            self._writer.rows(self.collection.waiting())

    def reset(self, **_: Any) -> None:
        """Forget the counts, as Locust's own statistics are reset; what is on disk stays."""
        self.collection = Collection()

    def end(self) -> None:
        """Write the groups, and tell them on the console."""
        if self.counted is not None:
            self.take(LOCAL, self.counted.report())
        if self._writer is not None:
            self._writer.groups(self.document())
        for line in summary.lines(self.collection, self._environment.stats.total.num_requests):
            console.info(line)

    def document(self) -> dict[str, Any]:
        """All groups of the run."""
        return summary.document(self._run_id, self.collection, self._environment.stats.total.num_requests)

    def status(self) -> dict[str, Any]:
        """The account in short."""
        return {
            "failures": self.collection.failures,
            "task_errors": self.collection.task_errors,
            "classes": {str(kind): count for kind, count in self.collection.by_kind().items()},
            "recent_ratio": self.watch.ratio,
            "too_many": self.watch.is_high,
        }

    def keep_watching(self) -> None:
        """Look at the share of failed requests once a second, for as long as the master lives."""
        while True:
            gevent.sleep(1)
            total = self._environment.stats.total  # another object after each reset
            if line := self.watch.look(time.monotonic(), total.num_requests, total.num_failures):
                logger.warning("locust-kit: %s", line)

    def count_here(self) -> Capture:
        """Count in this process, too, and take that in once a second: for a Locust without workers."""
        self.counted = capture()
        gevent.spawn(self._report_here, self.counted)
        return self.counted

    def _report_here(self, counted: Capture) -> None:
        while True:
            gevent.sleep(_LOCAL_SECONDS)
            self.take(LOCAL, counted.report())
