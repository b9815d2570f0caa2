"""`run` waits for a master that the locustfile of the last run ended, and for nothing else."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sidecar.commands import stopping
from sidecar.common.console import Console
from sidecar.locust_api.connection import MasterDownError, MasterError
from sidecar.model.snapshot import WORKER
from sidecar.settings import load
from tests.fakes.fake_time import FakeTime

ENDING = {"is_ending": True, "uptime_seconds": 900.0, "workers_connected": []}
STARTED = {"is_ending": False, "uptime_seconds": 3.0, "workers_connected": ["a"]}
WHOLE = {"is_ending": False, "uptime_seconds": 9.0, "workers_connected": ["a", "b"]}
OLD_AND_SHORT = {"is_ending": False, "uptime_seconds": 900.0, "workers_connected": []}
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


class Master:
    """Answers one after the other; the last one for ever."""

    def __init__(self, *answers: Mapping[str, Any] | MasterError | None) -> None:
        self.answers = list(answers)

    def status(self) -> Mapping[str, Any] | None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, MasterError):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("answers", "living", "seconds"),
    [
        ((WHOLE,), 2, 0.0),
        ((None,), 2, 0.0),  # a master without the plugin
        ((OLD_AND_SHORT,), 2, 0.0),  # its workers are gone for another reason: `run` says which
        (({"workers_connected": []},), 2, 0.0),  # an older plugin
        (({"workers_connected": [], "uptime_seconds": None},), 2, 0.0),
        (({"workers_connected": [], "uptime_seconds": 0.0}, WHOLE), 2, 0.5),
        ((MasterDownError("gone"),), 2, 0.0),  # and nobody knows of a container of it
        ((ENDING, STARTED, STARTED, WHOLE), 2, 1.5),
        ((ENDING,), 2, 60.0),
        ((STARTED,), 1, 0.0),  # the other worker was scaled away
    ],
)
def test_it_waits_until_the_new_master_has_its_workers(
    answers: tuple[Any, ...],
    living: int,
    seconds: float,
    tmp_path: Path,
    fake_time: FakeTime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(stopping, "_living", lambda service, *_: living if service == WORKER else 0)
    settings = load(["WORKERS=2"], {}, tmp_path)
    stopping.wait_for_master(Master(*answers), settings, NO_DOCKER, Console(out), fake_time.clock())  # type: ignore[arg-type]
    assert fake_time.seconds == pytest.approx(seconds)
    assert ("waiting for it and its workers" in out.getvalue()) is bool(seconds)
