"""The master's part in pushing failures: two greenlets, one that gathers and one that sends, and nothing that waits."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

from locust_kit.failures.records import Record

from .batch import MOST_ROWS
from .counts import Counts
from .gather import RowQueue
from .outside import Outside
from .pace import RetryPace
from .post import Post, poster
from .sender import BatchSender
from .settings import PushSettings
from .spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("locust_kit")

_LAST_WORDS_SECONDS = 5.0  # for the disk, as the master ends


class Pusher:
    """Pushes the rows of all runs of this master. Nothing in here raises, or holds up who calls it.

    Args:
        settings: where to.
        runs: the folder of all runs, in which the spool is.
        pace: how long to wait for what.
        outside: clocks and the like.
        post: sends one body; None for the real one.
    """

    def __init__(
        self,
        settings: PushSettings,
        runs: Path,
        pace: RetryPace | None = None,
        outside: Outside | None = None,
        post: Post | None = None,
    ) -> None:
        self._host = settings.host
        self._pace = pace or RetryPace()
        outside = outside or Outside()
        self._counts = Counts()
        self._spooled = Spool(runs)
        self._sender = BatchSender(
            self._spooled, post or poster(settings, self._pace), self._counts, self._pace, outside
        )
        self._gatherer = RowQueue(self._spooled, self._sender, self._counts, settings.spool_bytes, outside)
        self._has_failed = False
        self._arrived, self._enough, self._wake = Event(), Event(), Event()

    def start(self) -> None:
        """Begin with what an earlier master left."""
        gevent.spawn(self._gather)
        gevent.spawn(self._send)

    def begin(self, run_id: str, labels: Mapping[str, str]) -> None:
        """Hear what a run is called by; its batches carry that."""
        self._spooled.labels[run_id] = labels

    def take(self, run_id: str, records: Sequence[Record]) -> None:
        """Queue rows of a run."""
        if not records:
            return
        with self._contained():
            self._gatherer.add(run_id, records)
            self._arrived.set()
            if self._gatherer.queued >= MOST_ROWS:
                self._enough.set()

    def flush(self, **_: Any) -> None:
        """Bring what is queued to the spool at once, and send at full pace for some seconds: a run has ended."""
        gevent.spawn(self._spool)
        self._sender.hurry()
        self._wake.set()

    def keep(self, **_: Any) -> None:
        """Bring what is queued to the spool before the master ends, and wait for that, though not for ever."""
        with gevent.Timeout(_LAST_WORDS_SECONDS, False):  # noqa: FBT003  gevent's own form of call
            self._spool()

    def status(self) -> dict[str, Any]:
        """What is through, what waits, and what was lost."""
        return {
            "url": self._host,
            "waiting_rows": self._gatherer.waiting_rows + self._sender.waiting_rows,
            "waiting_bytes": self._sender.waiting_bytes,
            **self._counts.document(),
        }

    def _gather(self) -> None:
        self._spool()
        while True:
            self._arrived.wait()
            self._arrived.clear()
            is_enough = self._enough.wait(self._pace.gather)
            self._enough.clear()
            self._spool(MOST_ROWS if is_enough else 1)
            if self._gatherer.queued:
                self._arrived.set()

    def _spool(self, least: int = 1) -> None:
        with self._contained():
            self._gatherer.spool(least)
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
        """Make one warning of a fault of ours. Its text is not told: nobody knows what is in it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  whatever it is, the run goes on
            if not self._has_failed:
                self._has_failed = True
                logger.warning("locust-kit: pushing failures failed, the run goes on: %s", type(error).__name__)


def pusher_of(environ: Mapping[str, str], runs: Path) -> Pusher | None:
    """The pusher that an environment asks for; None for none."""
    settings = PushSettings.of(environ)
    return Pusher(settings, runs) if settings else None
