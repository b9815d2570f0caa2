"""A thread that does one thing again and again."""

from __future__ import annotations

import threading

import pytest

from sidecar.common.backoff import Backoff
from sidecar.common.repeated import Repeated


class Turns(Repeated):
    """Fails the first time, and says when it got to the third."""

    def __init__(self) -> None:
        super().__init__("turns")
        self.made, self.third = 0, threading.Event()

    def turn(self) -> float:
        self.made += 1
        if self.made == 1:
            raise RuntimeError("odd")
        if self.made == 3:
            self.third.set()
            return 3600.0
        return 0.0


def test_a_turn_that_fails_is_logged_and_the_next_ones_come(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sidecar.common.repeated.Backoff", lambda: Backoff(first_seconds=0.01))
    turns = Turns()
    turns.stop()  # of one that was never started: nothing happens
    turns = Turns()
    turns.start()
    assert turns.third.wait(10)
    turns.stop(10)  # in the middle of an hour's pause
    assert (turns.made, turns._thread.is_alive()) == (3, False)
    assert "turns: a turn failed" in caplog.text
