"""The visit to the master that goes with each round: a slow master costs a round its figures, never the round."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from typing import Protocol

from sidecar.model.observation import LocustReading

PATIENCE_SECONDS = 3.0  # of a round
_CUT_SECONDS = 12.0  # a visit with a login takes four requests


class LocustSource(Protocol):
    """Where the master's figures come from."""

    def read(self) -> LocustReading:
        """Visit the master once; never raises."""

    def cut(self) -> None:
        """End a visit that is under way; called from another thread."""


class MasterPoller:
    """Visits the master beside a round, one visit at a time.

    Args:
        source: who visits.
        pool: where; a visit takes one thread of it, for as long as the master takes.
        monotonic: a clock in seconds that never jumps.
    """

    def __init__(self, source: LocustSource, pool: Executor, monotonic: Callable[[], float]) -> None:
        self._source = source
        self._pool = pool
        self._monotonic = monotonic
        self._visit: Future[LocustReading] | None = None
        self._began = self._asked = 0.0

    def ask(self) -> None:
        """Begin a visit, unless the one before still lasts."""
        self._asked = self._monotonic()
        if self._visit is None:
            self._began = self._asked
            self._visit = self._pool.submit(self._source.read)

    def reading(self) -> LocustReading:
        """Return what the master said; without figures when it takes too long. Call `ask` before, each time."""
        if self._visit is None:
            self.ask()
        visit, left = self._visit, self._asked + PATIENCE_SECONDS - self._monotonic()
        if visit is not None and wait([visit], max(0.0, left)).done:
            self._visit = None
            return visit.result()
        lasted = self._monotonic() - self._began
        if lasted >= _CUT_SECONDS:
            self._source.cut()
        return LocustReading(None, f"the master has not given a whole answer for {lasted:.0f} s", None)
