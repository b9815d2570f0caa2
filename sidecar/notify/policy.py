"""Decides which incidents become messages, when, and with which text. Pure: incidents and the time in, messages out.

Three rules keep messages few. All incidents within a few seconds go into one message. After a message about one kind of
incident of one service, that pair stays quiet for a while; later incidents of the pair are reported afterwards. If a
message reports an ongoing incident, another message reports its end.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sidecar.model.incident import Incident, IncidentKind, Severity
from sidecar.model.incident_kinds import KINDS, goes_on

MOST_LINES = 10
_MOST_TEXT = 300
GATHER_SECONDS = 5.0  # a kill is final about four seconds after its last sign, so its message is complete
GAP_SECONDS = 10.0  # between two messages
MOST_KNOWN = 5000
MOST_PENDING = 1000  # incidents that wait for their message
_Key = tuple[IncidentKind, str, str]


class Tone(StrEnum):
    """The type of a message; the values are Apprise's."""

    FAILURE = "failure"
    WARNING = "warning"
    INFO = "info"
    SUCCESS = "success"


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One line of a message: an incident that happened or began, or an incident that is over."""

    incident: Incident
    over: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message: a title, plain text of a few lines, and a tone."""

    title: str
    body: str
    tone: Tone


def compose(project: str, entries: Sequence[MessageLine]) -> Message:
    """Build one message. Beyond ten lines it shows how many more incidents there are."""
    lines = [_line(entry) for entry in entries[:MOST_LINES]]
    if len(entries) > MOST_LINES:
        lines.append(f"… and {len(entries) - MOST_LINES} more")
    return Message(f"[{project}] {_headline(entries)}", "\n".join(lines), _tone(entries))


def _headline(entries: Sequence[MessageLine]) -> str:
    begun = Counter[IncidentKind]()
    for entry in entries:
        if not entry.over:
            begun[entry.incident.kind] += entry.incident.count if KINDS[entry.incident.kind].is_summed else 1
    over = Counter(entry.incident.kind for entry in entries if entry.over)
    if not over:
        return _named(begun)
    return f"{_named(begun)}; over: {_named(over)}" if begun else f"over: {_named(over)}"


def _named(counts: Counter[IncidentKind]) -> str:
    return ", ".join(f"{count} {KINDS[kind].headline[count != 1]}" for kind, count in counts.most_common())


def _line(entry: MessageLine) -> str:
    incident = entry.incident
    where = incident.container or incident.service or "host"
    text = incident.text if len(incident.text) <= _MOST_TEXT else f"{incident.text[:_MOST_TEXT]}…"
    if entry.over:
        ended = f"{incident.until:%H:%M:%S} UTC  " if incident.until else ""
        return f"{ended}over  {where}: {text}"
    return f"{incident.at:%H:%M:%S} UTC  {KINDS[incident.kind].label}  {where}: {text}"


def _tone(entries: Sequence[MessageLine]) -> Tone:
    severities = {entry.incident.severity for entry in entries if not entry.over}
    if Severity.ERROR in severities:
        return Tone.FAILURE
    if Severity.WARN in severities:
        return Tone.WARNING
    return Tone.INFO if severities else Tone.SUCCESS


@dataclass(slots=True)
class _Quiet:
    """The quiet time of one kind of one service after a message, and the incidents held back in it."""

    until: datetime
    held: dict[str, Incident] = field(default_factory=dict)


class AlertPolicy:
    """Decides on messages. Not for use from two threads at once.

    Args:
        project: the project's name, for each title.
        kinds: the kinds of incidents that are reported.
        cooldown_seconds: how long a kind of a service stays quiet after a message about it.
    """

    def __init__(self, project: str, kinds: Collection[IncidentKind], cooldown_seconds: float) -> None:
        self._project = project
        self._kinds = frozenset(kinds)
        self._cooldown = timedelta(seconds=cooldown_seconds)
        self._known: OrderedDict[str, bool] = OrderedDict()  # incident id → whether a message of its end is still due
        self._quiet: dict[_Key, _Quiet] = {}
        self._waiting: OrderedDict[str, Incident] = OrderedDict()
        self._over: OrderedDict[str, Incident] = OrderedDict()
        self._waiting_since: datetime | None = None
        self._last_message_at: datetime | None = None
        self.dropped = 0  # incidents that were dropped because too many others waited

    def restore(self, incidents: Iterable[Incident]) -> None:
        """Load incidents that an earlier monitor has reported. Only the end of ongoing ones is still due."""
        for incident in incidents:
            self._know(incident.id, open_=goes_on(incident))

    def take(self, incidents: Iterable[Incident], now: datetime) -> None:
        """Process incidents, new ones or new revisions, in the order in which they were recorded."""
        for incident in incidents:
            if self.wants(incident):
                self._take(incident, now)

    def wants(self, incident: Incident) -> bool:
        """Return whether an incident is of a kind that is reported."""
        return incident.kind in self._kinds and not incident.helper

    def due(self, now: datetime) -> Message | None:
        """Return the message to send now, if any; its incidents count as reported."""
        self._end_quiet(now)
        at = self.next_at(now)
        if at is None or at > now or not (self._waiting or self._over):
            return None
        entries = [*self._begun(now), *(MessageLine(incident, over=True) for incident in self._over.values())]
        self._over.clear()
        self._waiting_since = None
        self._last_message_at = now
        return compose(self._project, entries)

    def next_at(self, now: datetime) -> datetime | None:
        """Return the latest time for the next call of `due`; None if nothing waits."""
        times = [quiet.until for quiet in self._quiet.values() if quiet.held]
        if self._waiting_since is not None:
            at = self._waiting_since + timedelta(seconds=GATHER_SECONDS)
            if self._last_message_at is not None:
                at = max(at, self._last_message_at + timedelta(seconds=GAP_SECONDS))
            times.append(at)
        return max(now, min(times)) if times else None

    def _take(self, incident: Incident, now: datetime) -> None:
        quiet = self._quiet.get(_key(incident))
        if incident.id in self._waiting:
            self._waiting[incident.id] = incident
        elif quiet is not None and incident.id in quiet.held:
            quiet.held[incident.id] = incident
        elif incident.id not in self._known:
            self._know(incident.id, open_=False)
            if len(self._waiting) + sum(len(each.held) for each in self._quiet.values()) >= MOST_PENDING:
                self.dropped += 1
            elif quiet is not None and now < quiet.until:
                quiet.held[incident.id] = incident
            else:
                self._wait(self._waiting, incident, now)
        elif self._known[incident.id] and incident.until is not None:
            self._known[incident.id] = False
            self._wait(self._over, incident, now)

    def _wait(self, where: OrderedDict[str, Incident], incident: Incident, now: datetime) -> None:
        where[incident.id] = incident
        if self._waiting_since is None:
            self._waiting_since = now

    def _begun(self, now: datetime) -> Iterable[MessageLine]:
        """Yield the waiting incidents, and begin the quiet time of their kinds and services."""
        for incident in self._waiting.values():
            self._know(incident.id, open_=goes_on(incident))
            self._quiet.setdefault(_key(incident), _Quiet(now + self._cooldown))
            yield MessageLine(incident)
        self._waiting.clear()

    def _end_quiet(self, now: datetime) -> None:
        """Release the incidents held back in a quiet time, except those that began and ended in it."""
        for key in [key for key, quiet in self._quiet.items() if quiet.until <= now]:
            for incident in self._quiet.pop(key).held.values():
                if incident.until is None or not KINDS[incident.kind].lasts:
                    self._wait(self._waiting, incident, now)

    def _know(self, incident_id: str, *, open_: bool) -> None:
        self._known[incident_id] = open_
        self._known.move_to_end(incident_id)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


def _key(incident: Incident) -> _Key:
    return incident.kind, incident.project or "", incident.service or incident.container or ""
