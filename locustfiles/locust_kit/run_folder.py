"""The identity of a run, made by the master at its start, and the folder of the run.

- `<runs>/<run id>/run.json`: written first: the plan of the run.
- `<runs>/<run id>/end.json`: the end marker, written last. A folder without it is a run that was cut off.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from locust_kit import SCHEMA_VERSION
from locust_kit.disk import make_folder
from locust_kit.writer import write_documents

logger = logging.getLogger("locust_kit")

RUNS = Path(os.environ.get("KIT_RUNS_DIR", "/var/lib/locust-kit/runs"))
BEGIN, END = "run.json", "end.json"


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """One run. `started_at` and `ended_at` are RFC 3339, UTC; `state` is running, stopping or stopped.

    `labels` are the names that people gave the run.
    """

    run_id: str
    state: str
    started_at: str
    ended_at: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the run for the status document."""
        return {
            "run_id": self.run_id,
            "state": self.state,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "labels": dict(self.labels),
        }


def rfc3339(at: datetime) -> str:
    """Format a time as every document of the kit writes it: UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def begin(at: datetime, labels: Mapping[str, str] | None = None) -> RunIdentity:
    """Make a new run. Its id contains the start time, so ids sort by time."""
    run_id = f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    return RunIdentity(run_id, "running", rfc3339(at), labels=labels or {})


def stopping(run: RunIdentity) -> RunIdentity:
    """Return the run with the state of a run that is stopping."""
    return replace(run, state="stopping")


def ended(run: RunIdentity, at: datetime) -> RunIdentity:
    """Return the run with the state of a run that has ended."""
    return replace(run, state="stopped", ended_at=rfc3339(at))


def document(run: RunIdentity, details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a run's start or end: its identity, and the details."""
    return {"schema_version": SCHEMA_VERSION, **run.document(), **details}


def make(run: RunIdentity, details: Mapping[str, Any], runs: Path) -> None:
    """Make the run's folder and its run.json. Raises OSError when the volume cannot be written."""
    folder = runs / run.run_id
    make_folder(folder)
    write_documents(folder, {BEGIN: document(run, details)})


class WriteErrors:
    """Logs once a run that its folder is incomplete, whatever file could not be written."""

    def __init__(self, run: RunIdentity) -> None:
        self._run = run
        self._is_logged = False

    def __call__(self, error: OSError) -> None:
        """Log an error if it is the first of the run."""
        if not self._is_logged:
            self._is_logged = True
            folder = RUNS / self._run.run_id
            reason = error.strerror or error
            logger.warning("locust-kit: the run is counted, but its folder %s cannot be written: %s", folder, reason)
