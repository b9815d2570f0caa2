"""The loop of the live view: draw, wait for a key or the next refresh, and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from sidecar.cli.feed import SnapshotFeed
from sidecar.views.keys import pressed
from sidecar.views.lines import Line
from sidecar.views.screens import draw
from sidecar.views.state import ViewState


class Terminal(Protocol):
    """What the loop needs of a screen."""

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""

    def draw(self, lines: Sequence[Line]) -> None:
        """Replace what is shown."""

    def wait(self, seconds: float) -> Sequence[str]:
        """Wait until the time is over, the size changes or keys are pressed, and return those keys."""


def live(
    feed: SnapshotFeed,
    screen: Terminal,
    *,
    interval_seconds: float,
    aside: str,
    now: Callable[[], datetime],
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Show the feed until a key says to leave. Paused, it goes on reading, so that what is missed can be counted."""
    state, again = ViewState(), False
    next_refresh = monotonic() + interval_seconds
    while not state.leaving:
        feed.follow(state, now(), again=again)
        scene = feed.scene(now())
        width, height = screen.size
        drawing = draw(scene, state, width=width, height=height, aside=aside)
        screen.draw(drawing.lines)
        state = replace(state, page=drawing.page, reach=drawing.reach, scroll=min(state.scroll, drawing.reach))
        for key in screen.wait(next_refresh - monotonic()):
            state = pressed(key, state, scene.snapshot)
        again = monotonic() >= next_refresh
        if again and not state.leaving:
            feed.refresh()
            next_refresh = monotonic() + interval_seconds
