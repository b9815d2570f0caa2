"""One Chromium for all tests of the page, and a pretended sidecar for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.browser.browser import Browser, until
from tests.browser.demo_archive import WorldArchive
from tests.browser.demo_world import World
from tests.browser.pretend_sidecar import PretendSidecar, now
from tests.ports import free_port

_TRIES = 5  # a page whose own files were cut off on the way is loaded again, as a person would


class Stage:
    """A pretended sidecar over a made-up world, and a browser to look at it with."""

    def __init__(self, browser: Browser, workers: int = 4) -> None:
        self.port = free_port()
        self.browser = browser
        self.world = World(workers, now() - timedelta(seconds=2))
        self.start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.sidecar = PretendSidecar(self.port, WorldArchive(self.world))
        self.round()

    def stop(self) -> None:
        self.sidecar.stop()

    def round(self) -> None:
        # Without incidents: what the page shows of them has to come by the stream and the list.
        self.sidecar.publish(replace(self.world.snapshot(now()), incidents=()))

    def open(self, *, width: int = 1280, dark: bool = False) -> None:
        for _ in range(_TRIES):
            self.browser.open(self.origin, width=width, dark=dark)
            until(self._is_live_or_interrupted, "the page to be live")
            if not self.browser.interrupted:
                break
        self.browser.shows("#badge", "live")
        self.browser.shows("#containers", "worker-1")

    def _is_live_or_interrupted(self) -> bool:
        self.browser.listen()
        return self.browser.interrupted or "live" in self.browser.text("#badge")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    made = Browser()
    yield made
    made.close()


@pytest.fixture
def stage(browser: Browser) -> Iterator[Stage]:
    made = Stage(browser)
    yield made
    browser.driver.get("about:blank")
    made.stop()
