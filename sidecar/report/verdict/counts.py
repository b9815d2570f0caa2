"""The counts for a verdict: requests and failures by the larger of two accounts, and errors in users' code. Pure.

Locust's account lacks what its listeners could not count. The plugin's account lacks what happened without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.common.units import memory, plural
from sidecar.model.run_record import RunRecord, Unknown, objects, whole
from sidecar.report.verdict.reason import InvalidReason

USERS = "users"
_TASK, _ON_START = "task", "on_start"
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Failed:
    """How many requests there were, and how many of them failed."""

    requests: int
    failures: int

    @property
    def ratio(self) -> float:
        """The failed share; 0 without requests."""
        return self.failures / self.requests if self.requests else 0.0


def by_locust(record: RunRecord) -> Failed:
    """Return Locust's own account."""
    figures = record.figures
    return Failed(
        int(record.end.get("requests", figures.get("requests", 0)) or 0),
        int(record.end.get("failures", figures.get("failures", 0)) or 0),
    )


def failed(record: RunRecord, unanswered: int = 0) -> Failed:
    """Return requests and failures, each as the larger of what Locust and the plugin counted.

    `unanswered` requests are added to both.
    """
    known = _larger(record)
    return Failed(known.requests + unanswered, known.failures + unanswered)


def _larger(record: RunRecord) -> Failed:
    locust, failures = by_locust(record), int(record.groups.get("failures") or 0)
    if failures <= locust.failures or record.is_running:  # a live view reads the two at different moments
        return locust
    rows = record.performance.get("endpoints") or []
    requests = sum(int((row.get(part) or {}).get("count") or 0) for row in rows for part in ("good", "failed"))
    return Failed(max(locust.requests, requests, failures), failures)


def accounts_differ(record: RunRecord) -> Iterator[InvalidReason]:
    """Yield a reason if the two accounts of failures differ: one is incomplete, and it is unknown what it lacks.

    Accounts of different moments are not compared.
    """
    failures, own = by_locust(record).failures, record.groups.get("failures")
    if own is None or int(own) == failures or Unknown.SECONDS in record.unknown or record.ended_at is None:
        return
    text = (
        f"Locust counted {plural(failures, 'failed request')}, the plugin {int(own)}: the larger number counts. "
        "See the logs of the workers and the master, unless the test itself changes the statistics or the reports"
    )
    yield InvalidReason("accounts_differ", text)


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Errors of one kind in one function: `name` is `Class.task`, `kind` one of the plugin's, `line` file and line."""

    name: str
    kind: str
    error: str
    line: str
    count: int

    @property
    def text(self) -> str:
        """The function, what it raised, and where."""
        name = self.name or "the users' code"
        return f"{name} raised {self.what}"

    @property
    def what(self) -> str:
        """What was raised, and where."""
        return f"{self.error}{f' ({self.line})' if self.line else ''}"


@dataclass(frozen=True, slots=True)
class TaskErrors:
    """The exceptions in tasks and in `on_start`. Locust counts them as no requests.

    Attributes:
        count: how many there were.
        runs: runs of tasks, and of each `on_start` that raised; 0 if they were not counted.
        runs_of: the same by `Class.task`.
        groups: the errors, the most frequent first.

    """

    count: int
    runs: int
    runs_of: Mapping[str, int]
    groups: tuple[ErrorGroup, ...]

    @property
    def ratio(self) -> float:
        """The share of runs that raised, 0 to 1; 1 if the runs were not counted."""
        return min(1.0, self.count / self.runs) if self.runs else float(self.count > 0)

    def lines(self) -> Iterator[str]:
        """Yield one line for each of the largest groups."""
        for group in self.groups[:_MOST_NAMED]:
            runs = self.runs_of.get(group.name, 0)
            if group.kind == _ON_START:
                yield f"{plural(group.count, 'user')} ended in on_start: {group.text}"
            elif runs:
                yield f"{group.count} of {max(runs, group.count)} runs of {group.text}"
            else:
                yield f"{group.count} × {group.text}"
        if len(self.groups) > _MOST_NAMED:
            more = plural(len(self.groups) - _MOST_NAMED, "more kind")
            yield f"... and {more} of errors in the users' code"


def task_errors(record: RunRecord) -> TaskErrors:
    """Return the errors in users' code, from the meter of users or else from the plugin's failures."""
    meter = record.meters.get(USERS) or {}
    own = [group for group in record.groups.get("groups") or [] if group.get("class") == "task_error"]
    counted = max(int(record.groups.get("task_errors") or 0), sum(int(group.get("count") or 0) for group in own))
    runs_of = {str(name): int(task.get("runs") or 0) for name, task in (meter.get("tasks") or {}).items()}
    groups = error_groups(record, _TASK, _ON_START) or tuple(
        ErrorGroup(
            str(group.get("name") or ""),
            _TASK,
            ": ".join(filter(None, (str(group.get("detail") or ""), _message(group)))),
            "",
            int(group.get("count") or 0),
        )
        for group in own
    )
    started = sum(group.count for group in groups if group.kind == _ON_START)
    runs = int(meter.get("task_runs") or 0) + started if meter else 0
    return TaskErrors(max(counted, int(meter.get("task_errors") or 0)), runs, runs_of, groups)


def _message(group: Mapping[str, Any]) -> str:
    """Return the original message of an error: a group's own message is masked."""
    example: Mapping[str, Any] = next(iter(group.get("examples") or []), {})
    return " ".join(str(example.get("message") or group.get("message") or "").split())


def error_groups(record: RunRecord, *kinds: str) -> tuple[ErrorGroup, ...]:
    """Return the errors of these kinds from the meter of users, the most frequent first."""
    errors: list[Mapping[str, Any]] = (record.meters.get(USERS) or {}).get("errors") or []
    found = [
        ErrorGroup(
            str(error.get("name") or ""),
            str(error.get("kind") or ""),
            ": ".join(str(part) for part in (error.get("type"), error.get("example") or error.get("text")) if part),
            str(error.get("line") or ""),
            int(error.get("count") or 0),
        )
        for error in errors
        if error.get("kind") in kinds
    ]
    return tuple(sorted(found, key=lambda group: -group.count))


def idle_workers(record: RunRecord) -> str:
    """Return how many workers with users made no request, and why; "" if all made some."""
    meter = record.meters.get(USERS) or {}
    lines = [line for line in (meter.get("by_worker") or {}).values() if line.get("made") or line.get("not_made")]
    idle = [line for line in lines if not line.get("requests") and line.get("error")]
    if not idle or len(idle) == len(lines) or record.is_running:
        return ""
    count = max(len(lines), int(meter.get("workers") or 0))
    return f"{len(idle)} of {count} workers made no request after they joined: {idle[0]['error']}"


def full_disks(record: RunRecord) -> Iterator[str]:
    """Yield a warning if the test's own files filled file systems of the workers."""
    full = [
        f"{row.get('folder')} was full on {plural(whole(row.get('workers')), 'worker')} "
        f"({memory(whole(row.get('size_bytes')))}, in memory)"
        for row in objects((record.meters.get("disk") or {}).get("full"))
    ]
    raised = sum(group.count for group in error_groups(record, _TASK, _ON_START) if "[Errno 28]" in group.error)
    if raised:
        full.append(
            f"{plural(raised, 'exception')} in the users' code: No space left on device (not caused by the target)"
        )
    if full:
        advice = "write less, or delete old files; make reload empties the folder"
        yield f"{'; '.join(full)}: no room for what the test writes → {advice}"
