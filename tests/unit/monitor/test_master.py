"""A visit to the master that takes too long costs the round its figures, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sidecar.model.observation import LocustReading
from sidecar.monitor.sampler import MasterPoller

FOUND = LocustReading(None, "found", None)


class Slow:
    """A master that answers once it is let go, or is cut."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.visits = self.cuts = 0

    def read(self) -> LocustReading:
        self.visits += 1
        self.go.wait(20)
        return FOUND

    def cut(self) -> None:
        self.cuts += 1
        self.go.set()


class Watch:
    """A clock that moves on by itself, so that patience is over at once."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 4.0
        return self.seconds


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.go.set()


def test_a_round_waits_no_longer_than_its_patience_and_no_second_visit_is_begun(slow: Slow) -> None:
    with ThreadPoolExecutor(1) as pool:
        master = MasterPoller(slow, pool, Watch())
        for _ in range(2):
            master.ask()
            assert "sent no complete answer" in (master.reading().error or "")
        assert slow.visits == 1
        slow.go.set()


def test_a_visit_that_lasts_for_ever_is_cut_and_the_next_one_is_another(slow: Slow) -> None:
    with ThreadPoolExecutor(1) as pool:
        master = MasterPoller(slow, pool, Watch())
        while not slow.cuts:
            master.ask()
            master.reading()
        while master.reading() is not FOUND:
            pass
        assert slow.cuts >= 1
        master.ask()
        pool.submit(int).result()
        assert slow.visits == 2


def test_a_visit_that_breaks_does_not_stay(slow: Slow) -> None:
    class Broken(Slow):
        def read(self) -> LocustReading:
            self.visits += 1
            raise ValueError("broken")

    broken = Broken()
    del slow
    with ThreadPoolExecutor(1) as pool:
        master = MasterPoller(broken, pool, lambda: 0.0)
        for _ in range(2):
            master.ask()
            with pytest.raises(ValueError, match="broken"):
                master.reading()
    assert broken.visits == 2
