"""Users in a process of their own, where Locust may patch the standard library for gevent as in a real run."""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.paths import ROOT

FAST, REQUESTS = "FastHttpUser", "HttpUser"
BOTH = (FAST, REQUESTS)
PATIENCE_SECONDS = 90


@dataclass(frozen=True)
class Step:
    """Users of one class that send requests to one URL."""

    client: str
    url: str
    attributes: dict[str, Any] = field(default_factory=dict)
    """Of the class."""
    own: str | None = None
    """A class attribute that cannot be written as JSON; locust_child.OWN has it."""
    session: dict[str, Any] = field(default_factory=dict)
    """Attributes set on `self.client` afterwards."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Of the request."""
    method: str = "GET"
    users: int = 1
    at_once: int = 1
    """Greenlets of each user that send at the same time."""
    rounds: int = 1


@dataclass(frozen=True)
class Outcome:
    """How one request ended."""

    status: int
    error: str
    """Type and text of the exception; empty for a success."""
    body: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """What the process had to say at its end, while all users still lived."""

    said: list[str]
    """The lines of shared_tls and connections."""
    outcomes: list[list[Outcome]]
    """A list a step."""
    contexts: int
    """TLS contexts that were made since the plugin's modules were installed, and by that."""
    retried: dict[str, int]

    @property
    def each(self) -> list[Outcome]:
        """The only outcome of each step."""
        return [outcome for (outcome,) in self.outcomes]

    @property
    def only(self) -> Outcome:
        (outcome,) = self.each
        return outcome


def run(*steps: Step, **settings: str) -> Report:
    """Run the steps one after the other under KIT_<settings>, in a new process."""
    environ = {f"KIT_{name}": value for name, value in settings.items()}
    forker = _forker()
    assert forker.stdin
    assert forker.stdout
    forker.stdin.write(json.dumps({"steps": [asdict(step) for step in steps], "environ": environ}) + "\n")
    forker.stdin.flush()
    patience = threading.Timer(PATIENCE_SECONDS, os.killpg, (forker.pid, signal.SIGKILL))
    patience.start()
    line = forker.stdout.readline()
    patience.cancel()
    if not line:
        _forker.cache_clear()
    report = json.loads(line or '{"failed": "the process was ended: it took too long"}')
    assert "failed" not in report, report["failed"]
    outcomes = [[Outcome(**outcome) for outcome in step] for step in report.pop("outcomes")]
    return Report(outcomes=outcomes, **report)


@functools.cache
def _forker() -> subprocess.Popen[str]:
    """The process that each run is a fork of."""
    forker = subprocess.Popen(
        [sys.executable, "-m", "tests.process.plugin.locust_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'locustfiles'}"},
        start_new_session=True,
    )
    atexit.register(_end, forker)
    return forker


def _end(forker: subprocess.Popen[str]) -> None:
    with forker:  # which closes its input, its sign to end
        pass
