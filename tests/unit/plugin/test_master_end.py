"""A master that the user's code ends; real ones are in tests/process/plugin."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from locust.env import Environment
from locust_kit import quitting
from locust_kit.quitting import EndedBy, MasterEnd


def test_a_quit_that_raises_leaves_no_master_that_ends_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def quits() -> None:
        raise OSError("no port")

    monkeypatch.setattr(quitting, "SERVED_SECONDS", 0)
    environment, ended = Environment(), list[str]()
    web_ui, runner = SimpleNamespace(stop=lambda: ended.append("stop")), SimpleNamespace(quit=quits)
    environment.web_ui, environment.runner = web_ui, runner  # type: ignore[assignment]
    by: list[Any] = []
    MasterEnd(environment, by.append, lambda: ended.append("close"))._exit(EndedBy("sys.exit(3)"))
    assert (ended, by) == (["close", "stop"], [EndedBy("sys.exit(3)")])
