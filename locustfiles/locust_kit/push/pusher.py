"""The push on the master: one greenlet makes batches, another one sends them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

from locust_kit.failures.records import Record
from locust_kit.push.batch import MOST_ROWS
from locust_kit.push.counts import PushCounts
from locust_kit.push.pace import RetryPace
from locust_kit.push.post import Post, poster
from locust_kit.push.row_queue import RowQueue
from locust_kit.push.sender import BatchSender, PushRuntime
from locust_kit.push.settings import PushSettings
from locust_kit.push.spool import Spool

logger = logging.getLogger("locust_kit")

_PATIENCE_SECONDS = 5.0  # for the disk, as the master ends


class Pusher:
    """Pushes the rows of all runs of this master. No method raises or blocks its caller.

    Args:
        settings: the receiver.
        runs: the folder of all runs, which contains the spool.
        pace: the waiting times.
        runtime: clocks and the like.
        post: sends one body; None for the real one.
    """

    def __init__(
        self,
        settings: PushSettings,
        runs: Path,
        pace: RetryPace | None = None,
        runtime: PushRuntime | None = None,
        post: Post | None = None,
    ) -> None:
        self._host = settings.host
        self._pace = pace or RetryPace()
        runtime = runtime or PushRuntime()
        self._counts = PushCounts()
        self._spool = Spool(runs)
        self._sender = BatchSender(self._spool, post or poster(settings, self._pace), self._counts, self._pace, runtime)
        self._queue = RowQueue(self._spool, self._sender, self._counts, settings.spool_bytes, runtime)
        self._has_failed = False
        self._arrived, self._enough, self._wake = Event(), Event(), Event()

    def start(self) -> None:
        """Begin with the batches that an earlier master left."""
        gevent.spawn(self._make_batches)
        gevent.spawn(self._send)

    def begin(self, run_id: str, labels: Mapping[str, str]) -> None:
        """Note the labels of a run for its batches."""
        self._spool.labels[run_id] = labels

    def take(self, run_id: str, records: Sequence[Record]) -> None:
        """Queue rows of a run."""
        if not records:
            return
        with self._contained():
            self._queue.add(run_id, records)
            self._arrived.set()
            if self._queue.queued >= MOST_ROWS:
                self._enough.set()

    def flush(self, **_: Any) -> None:
        """At the end of a run, move the queue to the spool at once, and send quickly for some seconds."""
        gevent.spawn(self._fill_spool)
        self._sender.hurry()
        self._wake.set()

    def keep(self, **_: Any) -> None:
        """Move the queue to the spool before the master ends, and wait for it for a limited time."""
        with gevent.Timeout(_PATIENCE_SECONDS, False):  # noqa: FBT003  gevent's own form of call
            self._fill_spool()

    def status(self) -> dict[str, Any]:
        """Return the counts of accepted, waiting and lost rows."""
        return {
            "url": self._host,
            "waiting_rows": self._queue.waiting_rows + self._sender.waiting_rows,
            "waiting_bytes": self._sender.waiting_bytes,
            **self._counts.document(),
        }

    def _make_batches(self) -> None:
        self._fill_spool()
        while True:
            self._arrived.wait()
            self._arrived.clear()
            is_enough = self._enough.wait(self._pace.gather)
            self._enough.clear()
            self._fill_spool(MOST_ROWS if is_enough else 1)
            if self._queue.queued:
                self._arrived.set()

    def _fill_spool(self, least: int = 1) -> None:
        with self._contained():
            self._queue.spool(least)
        self._wake.set()

    def _send(self) -> None:
        while True:
            self._wake.clear()
            pause: float | None = self._pace.most
            with self._contained():
                pause = self._sender.step()
            if pause != 0:
                self._wake.wait(pause)

    @contextmanager
    def _contained(self) -> Iterator[None]:
        """Log one warning about an error of the plugin, without its text, which may contain a secret."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  whatever it is, the run goes on
            if not self._has_failed:
                self._has_failed = True
                logger.warning("locust-kit: pushing failures failed, the run goes on: %s", type(error).__name__)


def pusher_of(environ: Mapping[str, str], runs: Path) -> Pusher | None:
    """Make the pusher from environment variables; None if push is off."""
    settings = PushSettings.of(environ)
    return Pusher(settings, runs) if settings else None
