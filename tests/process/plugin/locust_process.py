"""Users in a process of their own, where Locust may patch the standard library for gevent as in a real run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.paths import ROOT

FAST, REQUESTS = "FastHttpUser", "HttpUser"
BOTH = (FAST, REQUESTS)


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
    """Run the steps one after the other under KIT_<settings>."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.process.plugin.locust_child"],
        input=json.dumps([asdict(step) for step in steps]),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'locustfiles'}"}
        | {f"KIT_{name}": value for name, value in settings.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    outcomes = [[Outcome(**outcome) for outcome in step] for step in report.pop("outcomes")]
    return Report(outcomes=outcomes, **report)
