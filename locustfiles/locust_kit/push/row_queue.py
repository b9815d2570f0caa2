"""Queues rows in memory, makes batches of them, and moves them to the spool while it has space."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from gevent.lock import BoundedSemaphore

from locust_kit.failures.records import Record
from locust_kit.push.batch import MOST_ROWS, BatchId
from locust_kit.push.counts import PushCounts
from locust_kit.push.sender import BatchSender, PushRuntime
from locust_kit.push.spool import Spool
from locust_kit.texts import plural

MOST_QUEUED = 50_000  # rows in memory while the disk is slow; more rows are dropped and counted


class RowQueue:
    """The queue in memory, and the batch numbers of each run; only one greenlet at a time writes rows to the disk."""

    def __init__(
        self, spool: Spool, sender: BatchSender, counts: PushCounts, spool_bytes: int, runtime: PushRuntime
    ) -> None:
        self._spool = spool
        self._sender = sender
        self._counts = counts
        self._spool_bytes = spool_bytes
        self._runtime = runtime
        self._queue: deque[tuple[str, Record]] = deque()
        self._in_writing = 0
        self._numbers: Counter[str] = Counter()
        self._is_loaded = False
        self._lock = BoundedSemaphore(1)

    @property
    def queued(self) -> int:
        """Return how many rows are not in a batch yet."""
        return len(self._queue)

    @property
    def waiting_rows(self) -> int:
        """Return how many rows are not in the spool yet."""
        return len(self._queue) + self._in_writing

    def add(self, run_id: str, records: Sequence[Record]) -> None:
        """Queue rows of a run."""
        room = max(0, MOST_QUEUED - len(self._queue))
        self._queue.extend((run_id, record) for record in records[:room])
        self._drop(len(records) - room, "rows arrive faster than the disk writes them, so some are dropped")

    def spool(self, least: int = 1) -> None:
        """Move rows to the spool while there are at least so many. The first call also loads the existing batches."""
        with self._lock:
            if not self._is_loaded:
                self._is_loaded = True
                self._load()
            while len(self._queue) >= least:
                self._make_batch()

    def _load(self) -> None:
        try:
            kept, broken = self._runtime.off_loop(self._spool.leftovers)
        except OSError as error:
            self._counts.log_once(f"cannot read the spool: {error.strerror}")
            return
        self._sender.add(*kept)
        if broken:
            self._counts.log_once(f"ignoring {plural(broken, 'file')} in the spool that cannot be read as a batch")

    def _make_batch(self) -> None:
        run_id = self._queue[0][0]
        records: list[Record] = []
        while self._queue and self._queue[0][0] == run_id and len(records) < MOST_ROWS:
            records.append(self._queue.popleft()[1])
        self._numbers[run_id] += 1
        self._in_writing = len(records)
        try:
            self._keep(BatchId(run_id, (self._numbers[run_id],)), records)
        finally:
            self._in_writing = 0

    def _keep(self, batch: BatchId, records: list[Record]) -> None:
        content = self._runtime.off_loop(self._spool.render, batch, records)
        if self._sender.waiting_bytes + len(content) > self._spool_bytes:
            self._drop(len(records), "the spool is full (PUSH_SPOOL_MEGABYTES), so new batches are dropped")
            return
        try:
            self._sender.add(self._runtime.off_loop(self._spool.write, batch, content, len(records)))
        except OSError as error:
            self._drop(len(records), f"cannot write the spool, so batches are dropped: {error.strerror}")

    def _drop(self, rows: int, why: str) -> None:
        if rows > 0:
            self._counts.dropped_rows += rows
            self._counts.log_once(why)
