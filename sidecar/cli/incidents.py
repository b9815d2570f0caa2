"""`incidents`: what went wrong, one line each, newest last; one of them whole with its id."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sidecar.client.documents import IncidentList
from sidecar.client.reader import MonitorError, SidecarReader, UnknownError, first_snapshot
from sidecar.common.errors import SettingError, StackError
from sidecar.common.text import clean
from sidecar.common.times import format_time, parse_time
from sidecar.model import document
from sidecar.model.incident import EvidenceItem, Incident
from sidecar.model.naming import KIND_NAMES, told
from sidecar.model.note import WANTED, note_line
from sidecar.settings import command_line, makeflags
from sidecar.stack import deployment, workspace

NAME = "incidents"
HELP = "what went wrong, one line each: incidents [SINCE=10m] [ID [NOTE=…]] [--json]"
_MOST = 500
_PATIENCE_SECONDS = 15.0  # a command that is run once can wait for a machine that is busy
_AGO = re.compile(r"(\d+)\s*([smhd])(?: ago)?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_FLAG, _SINCE = "--json", "--since"
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class _IncidentsCall:
    """What this call asks for; `rest` is for the settings."""

    rest: list[str]
    since: datetime | None
    incident_id: str
    note: str
    as_json: bool


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Print the incidents, or one of them, with what a person writes down about it.

    Raises:
        SettingError: a word that means nothing, a time that is none, a note on no incident.
        StackError: the stack is down, or knows no such incident.
    """
    asked = _asked(args, environ, datetime.now(UTC))
    settings = workspace.settings_after_up(asked.rest, environ)
    reader = deployment.reader(settings, _PATIENCE_SECONDS)
    first_snapshot(reader, settings.project)  # for its errors: no stack, or another one
    try:
        if asked.incident_id:
            _print_one(reader, asked, settings.project)
        else:
            _print_all(reader, asked, settings.project)
    except UnknownError:
        raise StackError(f"there is no incident {asked.incident_id!r}", fix="scripts/kit incidents") from None
    except MonitorError as error:
        raise StackError(
            f"the sidecar gave no incidents: {error}", fix="try again; scripts/kit ps tells how the sidecar is"
        ) from error
    return 0


def _print_all(reader: SidecarReader, asked: _IncidentsCall, project: str) -> None:
    query: dict[str, str | int] = {"limit": _MOST, "evidence": 1 if asked.as_json else 0}
    if asked.since:
        query["since"] = format_time(asked.since)
    written = reader.incidents(**query)
    if asked.as_json:
        print(written.decode())  # as it came, with fields that this command may be too old to know
        return
    found = _read(IncidentList, written)
    for incident in reversed(found.incidents):
        print(line(incident, project))
    if not found.incidents:
        since = f" since {_local(asked.since)}" if asked.since else ""
        print(f"no incident{since}")
    for span in found.blind:
        if span.until is None:
            print(f"blind since {_local(span.since)}: {clean(span.text)}")


def _print_one(reader: SidecarReader, asked: _IncidentsCall, project: str) -> None:
    incident = reader.note(asked.incident_id, asked.note) if asked.note else reader.incident(asked.incident_id)
    if asked.as_json:
        sys.stdout.write(document.dumps(incident).decode() + "\n")
        return
    print("\n".join(detail(incident, project)))


def line(incident: Incident, project: str) -> str:
    """Tell one incident in one line, as the stack of a project sees it."""
    goes_on = "" if incident.until else " (goes on)"
    what = f"{KIND_NAMES[incident.kind]}  {clean(told(incident, project))}{goes_on}"
    return f"{_local(incident.at)}  {incident.id}  {incident.severity:<5}  {what}"


def detail(incident: Incident, project: str) -> Iterator[str]:
    """Tell one incident with everything that is known of it."""
    yield line(incident, project)
    for name, value in _facts(incident):
        if value:
            yield f"  {name:<10} {value}"
    for piece in incident.evidence:
        yield from _evidence(piece)


def _facts(incident: Incident) -> Iterator[tuple[str, str]]:
    yield "state", f"{incident.state}, revision {incident.revision}"
    yield "until", _local(incident.until) if incident.until and incident.until != incident.at else ""
    yield "container", f"{incident.container} {(incident.container_id or '')[:12]}" if incident.container else ""
    yield "reason", _reason(incident)
    yield "count", ("about " if incident.estimated else "") + str(incident.count) if incident.count != 1 else ""
    yield "memory", _memory(incident)
    yield "workers", ", ".join(map(clean, incident.workers))
    yield "users lost", str(incident.users_lost) if incident.users_lost else ""
    yield "run", incident.run_id or ""
    yield "cause", incident.cause or ""
    yield "note", clean(incident.note or "")
    yield "learnt", clean(incident.person_note or "")


def _reason(incident: Incident) -> str:
    code = "" if incident.exit_code is None else f"exit code {incident.exit_code}"
    return ", ".join(part for part in (incident.reason or "", code) if part)


def _memory(incident: Incident) -> str:
    figures = (
        ("at death", incident.memory_at_death_bytes),
        ("peak", incident.memory_peak_bytes),
        ("limit", incident.memory_limit_bytes),
    )
    return ", ".join(f"{name} {value / _MEBIBYTE:.0f} MiB" for name, value in figures if value)


def _evidence(piece: EvidenceItem) -> Iterator[str]:
    at = f"{_local(piece.at)}  " if piece.at else ""
    yield f"  {piece.what:<10} {at}{clean(piece.text)}"
    for sample in piece.samples:
        working_set, usage = sample.working_set_bytes / _MEBIBYTE, sample.usage_bytes / _MEBIBYTE
        yield f"    {_local(sample.at)}  working set {working_set:.0f} MiB, usage {usage:.0f} MiB"
    for text in piece.lines:
        yield f"    | {clean(text)}"


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""


def _read(kind: type[IncidentList], written: bytes) -> IncidentList:
    try:
        return document.loads_as(kind, written, "incidents")
    except document.DocumentError as error:
        raise StackError(f"the sidecar's answer is no list of incidents: {error}") from error


def _asked(args: Sequence[str], environ: Mapping[str, str], now: datetime) -> _IncidentsCall:
    """Take this verb's own words out: `--since T`, `--since=T`, `SINCE=T`, `ID=x` or the id alone, `NOTE=text`."""
    own = {name: environ[name] for name in makeflags.given(environ.get("MAKEFLAGS", "")) if name in environ}
    own |= command_line(args)
    since, incident_id, rest = own.get("SINCE", ""), own.get("ID", ""), []
    words = iter(args)
    for word in words:
        if word == _SINCE:
            since = next(words, "")
        elif word.startswith(f"{_SINCE}="):
            since = word.partition("=")[2]
        elif re.fullmatch(r"[0-9a-f]{16}", word):
            incident_id = word
        elif not word.startswith(("SINCE=", "ID=", "NOTE=")):
            rest.append(word)
    if _SINCE in args and not since:
        raise SettingError("--since names no time", wanted="10m, 2h, or 2026-11-22T15:04:05Z")
    _refuse(rest)
    own_words = [word for word in rest if word != _FLAG]
    return _IncidentsCall(own_words, moment(since, now), incident_id, _note(own, incident_id), _FLAG in rest)


def _note(own: Mapping[str, str], incident_id: str) -> str:
    if "NOTE" not in own:
        return ""
    if not incident_id:
        raise SettingError("NOTE names no incident", wanted=f"scripts/kit {NAME} ID=… NOTE=…")
    try:
        return note_line(own["NOTE"])
    except ValueError as error:
        raise SettingError(f"NOTE: {error}", wanted=WANTED) from None


def _refuse(rest: Sequence[str]) -> None:
    for word in rest:
        if word != _FLAG and (word.startswith("-") or "=" not in word):
            raise SettingError(
                f"{word!r} means nothing to `{NAME}`", wanted="an incident's id, --since T, --json or NAME=VALUE"
            )


def moment(text: str, now: datetime) -> datetime | None:
    """Read a time: RFC 3339, or how long ago (`90s`, `10m`, `2h ago`, `1d`); None for none.

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
