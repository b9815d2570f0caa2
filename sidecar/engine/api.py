"""What the sidecar asks of Docker, and nothing more. Tests give a fake; the adapter is in docker_engine.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sidecar.model.observation import Inspected, Listed, LogEntry, StatsReading


class Engine(Protocol):
    """The calls used. Each may raise EngineError, and each ends within the adapter's time-out.

    `inspect` and `stats` are called from several threads at once.
    """

    def containers(self) -> Sequence[Listed]:
        """List the project's containers in any state, one-offs and our own helper containers left out."""

    def inspect(self, container_id: str) -> Inspected | None:
        """Say what only an inspect knows; None when the container is gone."""

    def stats(self, container_id: str) -> StatsReading | None:
        """Read the counters once; None when the container is gone or does not run."""

    def logs(self, container_id: str, tail: int, *, tty: bool) -> Sequence[LogEntry]:
        """Read the last `tail` lines of the log, oldest first; empty when the container is gone."""
