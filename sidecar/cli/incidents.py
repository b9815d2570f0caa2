"""`incidents`, `snapshot`, `health`: what the monitor knows, as lines or as JSON."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sidecar.cli.verbs import VERBS
from sidecar.client.reader import MonitorError, SidecarReader, UnknownError, first_snapshot
from sidecar.common import strict_json, units
from sidecar.common.errors import SettingError, StackError
from sidecar.common.text import aligned
from sidecar.common.times import format_time, parse_time
from sidecar.common.units import mebibytes
from sidecar.common.visible_text import harmless
from sidecar.model import document
from sidecar.model.incident import NOTE_WANTED, EvidenceItem, Incident, note_line
from sidecar.model.incident_kinds import KINDS, text_for_project
from sidecar.settings import command_line, named_by_make
from sidecar.stack import deployment, workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sidecar.cli.verbs import Flags
    from sidecar.common.console import Console
    from sidecar.model.snapshot import Health, Snapshot
    from sidecar.settings import Settings


_MOST = 500
_OWN_WORDS = dict(VERBS["incidents"].words)
_PATIENCE_SECONDS = 15.0  # a command that is run once can wait for a machine that is busy
_AGO = re.compile(r"(\d+)\s*([smhd])(?: ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class _IncidentsCall:
    """What this call asks for."""

    since: datetime | None
    incident_id: str
    note: str
    as_json: bool


def incidents(words: Sequence[str], environ: Mapping[str, str], _console: Console, flags: Flags) -> None:
    """Print the incidents, or one of them; keep a note with it.

    Raises:
        SettingError: an invalid time, a note without an incident.
        StackError: the stack is down, or knows no such incident.

    """
    wanted = _wanted(words, environ, flags, datetime.now(UTC))
    for_settings = [word for word in words if "=" in word and word.partition("=")[0] not in _OWN_WORDS]
    settings = workspace.settings_after_up(for_settings, environ)
    reader = deployment.reader(settings, _PATIENCE_SECONDS)
    first_snapshot(reader, settings.project)  # for its errors: no stack, or another one
    try:
        if wanted.incident_id:
            _print_one(reader, wanted, settings.project)
        else:
            _print_all(reader, wanted, settings.project)
    except UnknownError:
        raise StackError(f"unknown incident {wanted.incident_id!r}", fix="scripts/kit incidents") from None
    except MonitorError as error:
        raise StackError(
            f"the monitor did not return the incidents: {error}", fix="scripts/kit ps, then try again"
        ) from error


def _print_all(reader: SidecarReader, wanted: _IncidentsCall, project: str) -> None:
    query: dict[str, str | int] = {"limit": _MOST, "evidence": 1 if wanted.as_json else 0}
    if wanted.since:
        query["since"] = format_time(wanted.since)
    if wanted.as_json:
        print(reader.incidents(**query).decode())  # as it came, with fields that this command may be too old to know
        return
    incident_list = reader.incident_list(**query)
    for incident in reversed(incident_list.incidents):
        print(line(incident, project))
    if not incident_list.incidents:
        since = f" since {_local(wanted.since)}" if wanted.since else ""
        print(f"no incidents{since}")
    for span in incident_list.blind:
        if span.until is None:
            print(f"no data since {_local(span.since)}: {harmless(span.text)}")


def _print_one(reader: SidecarReader, wanted: _IncidentsCall, project: str) -> None:
    incident = reader.note(wanted.incident_id, wanted.note) if wanted.note else reader.incident(wanted.incident_id)
    if wanted.as_json:
        sys.stdout.write(document.dumps(incident).decode() + "\n")
        return
    print("\n".join(detail(incident, project)))


def line(incident: Incident, project: str) -> str:
    """Return one incident as one line, as the stack of a project sees it."""
    goes_on = "" if incident.until else " (ongoing)"
    what = f"{KINDS[incident.kind].label}  {harmless(text_for_project(incident, project))}{goes_on}"
    return f"{_local(incident.at)}  {incident.id}  {incident.severity:<5}  {what}"


def detail(incident: Incident, project: str) -> Iterator[str]:
    """Yield the lines of one incident, with everything that is known about it."""
    yield line(incident, project)
    for name, value in _facts(incident):
        if value:
            yield f"  {name:<10} {harmless(value)}"
    for piece in incident.evidence:
        yield from _evidence(piece)


def _facts(incident: Incident) -> Iterator[tuple[str, str]]:
    yield "state", f"{incident.state}, revision {incident.revision}"
    yield "until", _local(incident.until) if incident.until and incident.until != incident.at else ""
    yield "container", f"{incident.container} {(incident.container_id or '')[:12]}" if incident.container else ""
    yield "reason", _reason(incident)
    yield "count", ("about " if incident.estimated else "") + str(incident.count) if incident.count != 1 else ""
    yield "memory", _memory(incident)
    yield "workers", ", ".join(incident.workers)
    yield "users lost", str(incident.users_lost) if incident.users_lost else ""
    yield "run", incident.run_id or ""
    yield "cause", incident.cause or ""
    yield "note", incident.note or ""
    yield "your note", incident.person_note or ""


def _reason(incident: Incident) -> str:
    code = "" if incident.exit_code is None else f"exit code {incident.exit_code}"
    return ", ".join(part for part in (incident.reason or "", code) if part)


def _memory(incident: Incident) -> str:
    figures = (
        ("at death", incident.memory_at_death_bytes),
        ("peak", incident.memory_peak_bytes),
        ("limit", incident.memory_limit_bytes),
    )
    return ", ".join(f"{name} {mebibytes(value)}" for name, value in figures if value)


def _evidence(piece: EvidenceItem) -> Iterator[str]:
    at = f"{_local(piece.at)}  " if piece.at else ""
    yield f"  {piece.what:<10} {at}{harmless(piece.text)}"
    for sample in piece.samples:
        working_set, usage = mebibytes(sample.working_set_bytes), mebibytes(sample.usage_bytes)
        yield f"    {_local(sample.at)}  working set {working_set}, usage {usage}"
    for text in piece.lines:
        yield f"    | {harmless(text)}"


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""


def _wanted(words: Sequence[str], environ: Mapping[str, str], flags: Flags, now: datetime) -> _IncidentsCall:
    """Read this verb's own words: `--since T`, `SINCE=T`, `ID=x` or the id alone, `NOTE=text`."""
    own = {name: environ[name] for name in named_by_make(environ.get("MAKEFLAGS", "")) if name in environ}
    own |= command_line(words)
    bare_words = [word for word in words if "=" not in word]
    incident_id = bare_words[-1] if bare_words else own.get("ID", "")
    since = moment(flags["--since"] or own.get("SINCE", ""), now)
    return _IncidentsCall(since, incident_id, _note(own, incident_id), as_json=bool(flags["--json"]))


def _note(own: Mapping[str, str], incident_id: str) -> str:
    if "NOTE" not in own:
        return ""
    if not incident_id:
        raise SettingError("NOTE needs an incident", wanted="scripts/kit incidents ID=… NOTE=…")
    return read_note(own["NOTE"])


def read_note(text: str) -> str:
    """Return a note as one line.

    Raises:
        SettingError: the note is empty or too long.

    """
    try:
        return note_line(text)
    except ValueError as error:
        raise SettingError(f"NOTE: {error}", wanted=NOTE_WANTED) from None


def moment(text: str, now: datetime) -> datetime | None:
    """Read a time: RFC 3339, or how long ago (`90s`, `10m`, `2h ago`, `1d`); None for an empty text.

    Raises:
        SettingError: the text is neither.
    """
    if not text:
        return None
    ago = _AGO.fullmatch(text.strip())
    try:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else parse_time(text.strip())
    except (ValueError, OverflowError):
        wanted = "10m, 2h, 1d, or 2026-11-22T15:04:05Z"
        raise SettingError(f"SINCE is {text!r}", wanted=wanted) from None


_COLUMNS = ("", "ENDPOINT", "ANSWER", "TOOK", "SINCE", "UP (24 H)", "URL")


def snapshot(settings: Settings, _environ: Mapping[str, str], _console: Console, _flags: Flags) -> None:
    """Print the Snapshot as JSON: indented on a terminal, one line into a pipe.

    Raises:
        StackError: the stack is down.

    """
    reader = deployment.reader(settings, _PATIENCE_SECONDS)
    first_snapshot(reader, settings.project)  # for its errors: no stack, or another one
    written = reader.document().decode()  # as it came, with fields that this command may be too old to know
    print(strict_json.dumps(json.loads(written), indent=2) if sys.stdout.isatty() else written)


def health(settings: Settings, _environ: Mapping[str, str], _console: Console, flags: Flags) -> int:
    """Print one line for each endpoint. Return 1 when one of them does not answer.

    Raises:
        StackError: the stack is down, or its monitor has not checked anything.

    """
    seen = first_snapshot(deployment.reader(settings, _PATIENCE_SECONDS), settings.project)
    if not seen.health:
        if settings.health_seconds:
            raise StackError("the monitor just started and has no health check yet", fix="make health, in a moment")
        raise StackError("health checks are off: HEALTH_SECONDS is 0", fix="make up HEALTH_SECONDS=10")
    passed = all(endpoint.passed for endpoint in seen.health)
    if flags["--json"]:
        rows = json.loads(document.dumps(seen.health))
        print(strict_json.dumps({"schema_version": 1, "at": rows[0]["at"], "passed": passed, "endpoints": rows}))
    else:
        print("\n".join(aligned([_COLUMNS, *(_cells(endpoint, seen) for endpoint in seen.health)])))
    return 0 if passed else 1


def _cells(endpoint: Health, seen: Snapshot) -> tuple[str, ...]:
    return (
        "✓" if endpoint.passed else "✗",
        endpoint.name,
        str(endpoint.status) if endpoint.passed else endpoint.error,
        units.milliseconds(endpoint.response_ms),
        units.duration((seen.at - endpoint.since).total_seconds()),
        units.percent(endpoint.uptime_percent, 2),
        endpoint.url,
    )
