"""The meaning of lines in Locust's log. Pure.

The texts are those of Locust 2.47, and of older versions where they differ. Log levels are ignored, because they have
changed between versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sidecar.diagnose.evidence import ContainerFacts, GatheredLogLine
from sidecar.model.finding import FindingEvidence

_USER_CODE = re.compile(r'File "(?:/mnt/locust|/home/locust/run)/([^"]+)", line (\d+)')
_BEFORE_END = timedelta(seconds=15)
_EARLIER = timedelta(seconds=1)  # the first line's time can be just before the start time that the engine reports


@dataclass(frozen=True, slots=True)
class LogPattern:
    """A known line: its meaning, its text, the detail in it, and its time."""

    name: str
    text: str
    detail: str
    at: datetime | None


_SIGNS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("bad-value", r"locust: error: (?:argument (?P<a>.*)|(?P<b>.*))"),
        ("bad-value", r"(The --master argument cannot be combined with --worker.*)"),
        ("bind-refused", r"Socket bind failure: Cannot assign requested address(?P<a>.*)"),
        ("bind-refused", r"Socket bind failure: (?P<a>Invalid argument.*|No such device.*)"),
        ("bind-busy", r"Socket bind failure: Address already in use(?P<a>.*)"),
        ("bind-busy", r"The Locust master port \((?P<a>\d+)\) was busy"),
        ("web-busy", r"Address already in use: \('.*', (?P<a>\d+)\)"),
        ("no-locustfile", r"Could not find '(?P<a>[^']*)'\. Ensure your locustfile"),
        ("no-locustfile", r"Could not find any locustfile(?P<a>.*)"),
        ("no-user-class", r"No User class found"),
        ("no-module", r"ModuleNotFoundError: No module named '(?P<a>[^']*)'"),
        ("import-name", r"ImportError: cannot import name '(?P<a>[^']*)' from (?P<b>.*)"),
        ("removed-event", r"AttributeError: 'Events' object has no attribute '(?P<a>[^']*)'"),
        ("syntax", r"^\s*(?P<a>(?:SyntaxError|IndentationError|TabError): .*)"),
        ("python-error", r"^(?P<a>[A-Za-z_.]*(?:Error|Exception)(?:: .*)?)$"),
        ("bad-address", r"ZMQError: Invalid argument \(addr='(?P<a>[^']*)'\)"),
        ("unresolved", r"Error resolving address: (?P<a>.*)"),
        ("connect-failed", r"Failed to connect to master (?P<a>\S+?),? retry (?P<b>\d+)/"),
        ("gave-up", r"Failed to connect to the Locust master"),
        ("lost-master", r"Didn't get heartbeat from master in over"),
        ("unknown-worker", r"Discarded report from unrecognized worker (?P<a>\S+)"),
        ("went-missing", r"Worker (?P<a>\S+) failed to send heartbeat"),
        ("self-healed", r"Worker (?P<a>\S+) self-healed with heartbeat"),
        ("stopped", r"(?P<a>\S+) \(index \d+\) reported that it has stopped"),
        ("ready", r"(?P<a>\S+) \(index \d+\) reported as ready"),
        (
            "version",
            r"A worker \((?P<a>\S+)\) running a different version \((?P<b>[^)]*)\) connected, master version is",
        ),
        ("old-worker", r"An old \(pre 2\.0\) worker tried to connect \((?P<a>[^)]*)\)"),
        ("web-greeting", r"Invalid HTTP method: '(?P<a>[^']*)"),
        ("class-missing", r"^KeyError: '(?P<a>[A-Za-z_]\w*)'"),
        ("late-spawn", r"Spawning is complete and report waittime is expired"),
        ("disk-full", r"(?P<a>No space left on device.*)"),
        ("too-many-files", r"(?P<a>Too many open files.*)"),
        ("file-limit", r"System open file limit '(?P<a>\d+)' is below minimum setting"),
        ("no-opentelemetry", r"OpenTelemetry (?:SDK|'(?P<a>\w+)' instrumentation) is not installed"),
        ("no-opentelemetry", r"OpenTelemetry otlp exporter for '(?P<a>\S+)' is not available"),
        ("starting", r"Starting Locust (?P<a>\S+)"),
        ("exec-failed", r"(?P<a>exec:? .*: (?:executable file not found|no such file or directory).*)"),
        ("exec-failed", r"(?P<a>exec \S+ failed: .*)"),
        ("exec-failed", r"(?P<a>.*can't open file '[^']*entrypoint\.py'.*)"),
    )
)


LOADING = ("no-locustfile", "no-user-class", "syntax", "removed-event", "no-module", "import-name", "python-error")
"""Lines that end a start before Locust itself runs."""


def current_log(container: ContainerFacts) -> tuple[GatheredLogLine, ...]:
    """Return the lines since a container's last start. A log continues over restarts."""
    if container.started_at is None:
        return container.log
    since = container.started_at - _EARLIER
    return tuple(line for line in container.log if line.at is None or line.at >= since)


def latest_log(container: ContainerFacts) -> tuple[GatheredLogLine, ...]:
    """Return the lines since a container's last start.

    If Locust itself has not started yet, the lines of the start before are included. A container that fails at each
    start and has just restarted has no other lines.
    """
    now = current_log(container)
    started, finished = container.started_at, container.finished_at
    if finished is None or started is None or finished >= started or last(now, "starting"):
        return now
    since = finished - _BEFORE_END - _EARLIER
    return tuple(line for line in container.log if line.at is None or line.at >= since)


def signs(lines: tuple[GatheredLogLine, ...], *wanted: str) -> Iterator[LogPattern]:
    """Yield the known lines among these, in their order. If names are given, yield only those."""
    for line in lines:
        for name, pattern in _SIGNS:
            if wanted and name not in wanted:
                continue
            if match := pattern.search(line.text):
                parts = [part.strip() for part in match.groups() if part]
                yield LogPattern(name, line.text, " ".join(parts), line.at)
                break


def last(lines: tuple[GatheredLogLine, ...], *wanted: str) -> LogPattern | None:
    """Return the last known line of some names."""
    return next(reversed([*signs(lines, *wanted)]), None)


def latest(container: ContainerFacts, *wanted: str) -> LogPattern | None:
    """Return the last known line of some names since a container's last start."""
    return last(current_log(container), *wanted)


def quote(container: ContainerFacts, sign: LogPattern | None, wanted: str = "no such line") -> FindingEvidence | None:
    """Return a line of a container's log as evidence; None without a line."""
    return FindingEvidence(f"log of {container.name}", sign.text, wanted, sign.at) if sign else None


def is_of_runner(lines: tuple[GatheredLogLine, ...], sign: LogPattern) -> bool:
    """Return whether Locust's runner raised an exception, not a task. The traceback above the line shows it."""
    end = max(at for at, line in enumerate(lines) if (line.text, line.at) == (sign.text, sign.at))
    places = [line.text for line in lines[:end] if line.text.lstrip().startswith('File "')]
    return not places or "locust/runners.py" in places[-1]


def place_in_user_code(lines: tuple[GatheredLogLine, ...]) -> str:
    """Return the last line of the user's code in a traceback, as `file line N`; "" without one."""
    matches = (_USER_CODE.search(line.text) for line in reversed(lines))
    return next((f"{match[1]} line {match[2]}" for match in matches if match), "")
