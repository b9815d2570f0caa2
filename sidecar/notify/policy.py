"""Which incidents become messages, when, and in which words. Pure: incidents and the time in, messages out.

Three rules keep a message worth reading. What happens within a few seconds goes out as one. After a message about one
kind of incident of one service, that pair stays quiet for a while; what came meanwhile is reported afterwards. And
the end of what was reported to go on is reported too.
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
GATHER_SECONDS = 5.0  # a kill is final about four after its last sign: its message then says all of it
GAP_SECONDS = 10.0  # between two messages
MOST_KNOWN = 5000
MOST_PENDING = 1000  # incidents that wait for their message
_Key = tuple[IncidentKind, str, str]


class Tone(StrEnum):
    """How a message is to be taken; the values are Apprise's."""

    FAILURE = "failure"
    WARNING = "warning"
    INFO = "info"
    SUCCESS = "success"


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One line of a message: an incident that began or happened, or one that is over."""

    incident: Incident
    over: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: a title, plain text of a few lines, and a tone."""

    title: str
    body: str
    tone: Tone


def compose(project: str, entries: Sequence[MessageLine]) -> Message:
    """Put one message together; beyond ten lines it says how many more there are."""
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
    """One kind of one service after a message: until when it is kept quiet, and what it would have said."""

    until: datetime
    held: dict[str, Incident] = field(default_factory=dict)


class AlertPolicy:
    """Decides on messages. Not for use from two threads at once.

    Args:
        project: named in each title.
        kinds: what is worth a message.
        cooldown_seconds: how long a kind of a service stays quiet after a message about it.
    """

    def __init__(self, project: str, kinds: Collection[IncidentKind], cooldown_seconds: float) -> None:
        self._project = project
        self._kinds = frozenset(kinds)
        self._cooldown = timedelta(seconds=cooldown_seconds)
        self._known: OrderedDict[str, bool] = OrderedDict()  # incident id → it was reported, and its end is still due
        self._quiet: dict[_Key, _Quiet] = {}
        self._waiting: OrderedDict[str, Incident] = OrderedDict()
        self._over: OrderedDict[str, Incident] = OrderedDict()
        self._waiting_since: datetime | None = None
        self._last_message_at: datetime | None = None
        self.dropped = 0  # incidents that were crowded out by too many others

    def restore(self, incidents: Iterable[Incident]) -> None:
        """Take incidents that an earlier sidecar has reported. Only the end of those that go on is still due."""
        for incident in incidents:
            self._know(incident.id, open_=goes_on(incident))

    def take(self, incidents: Iterable[Incident], now: datetime) -> None:
        """Hear of incidents, new ones or new revisions of known ones, in the order in which they were recorded."""
        for incident in incidents:
            if self.wants(incident):
                self._take(incident, now)

    def wants(self, incident: Incident) -> bool:
        """Tell whether an incident is of a kind that is worth a message."""
        return incident.kind in self._kinds and not incident.helper

    def due(self, now: datetime) -> Message | None:
        """Return the message to be sent now, if any; its incidents count as reported."""
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
        """Return when to call `due` again at the latest; None when there is nothing to wait for."""
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
        """Yield what waits, and begin the quiet of each kind and service in it."""
        for incident in self._waiting.values():
            self._know(incident.id, open_=goes_on(incident))
            self._quiet.setdefault(_key(incident), _Quiet(now + self._cooldown))
            yield MessageLine(incident)
        self._waiting.clear()

    def _end_quiet(self, now: datetime) -> None:
        """Bring back what was held while its kind was kept quiet, without what has begun and ended meanwhile."""
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
