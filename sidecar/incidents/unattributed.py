"""Kills that the host counted and nobody claimed in time: placed by exclusion where that is safe, else told. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.common.times import SECOND_NS, from_nanos
from sidecar.incidents import phrases
from sidecar.incidents.container_history import ContainerRun
from sidecar.incidents.exits import SIGKILL_EXIT, Exits, oom_near
from sidecar.incidents.gaps import ObservationGaps
from sidecar.incidents.host_count import Claim, CountDifference, HostKillCount, could_be, distance_ns
from sidecar.incidents.kills import Kills
from sidecar.incidents.store import IncidentStore
from sidecar.model.incident import EvidenceItem, Incident, IncidentKind, Severity, identity
from sidecar.model.incident_kinds import KINDS

_TOO_SHORT_NS = SECOND_NS  # even under cgroup v1 the engine can miss what happens in a life this short
_PROMPT_NS = SECOND_NS // 2  # from a kill to the end that it brings, on a machine that is not out of breath

_ALL_PLACED = "OOM kills that could not be placed at first: all are placed now"


class UnattributedKills:
    """Works the overdue entries of the account off."""

    def __init__(
        self,
        desk: IncidentStore,
        account: HostKillCount,
        kills: Kills,
        ends: Exits,
        blindness: ObservationGaps,
        *,
        engine_loses_kills: bool,
    ) -> None:
        self._engine_loses_kills = engine_loses_kills
        self._desk = desk
        self._account = account
        self._kills = kills
        self._ends = ends
        self._blindness = blindness

    def tick(self, now_ns: int, lives: Iterable[ContainerRun], elsewhere: dict[str, int]) -> None:
        """Place or tell each overdue entry; `elsewhere` are kills seen in cgroups outside Docker, and is worked off."""
        told, overdue = self._account.told(), list(self._account.overdue(now_ns))
        everyone = list(lives) if told or overdue or self._account.claims else []
        for entry in told:
            self._late_ends(entry, everyone)
        for entry in overdue:
            self._outside(entry, elsewhere)
            self._unexplained_ends(entry, everyone)
        for entry in overdue:
            self._last_of_an_ending(entry, everyone)
            if entry.kills > 0:
                self._tell(entry)
        self._revise_told()
        for claim in self._account.contradicted(now_ns):
            self._contradict(claim, everyone)
        self._account.sweep(now_ns)

    def _outside(self, entry: CountDifference, elsewhere: dict[str, int]) -> None:
        for path in list(elsewhere):
            kills = min(entry.kills, elsewhere[path])
            if kills > 0:
                entry.kills -= kills
                elsewhere[path] -= kills
                self._put(entry, kills, path)
            if elsewhere[path] <= 0:
                del elsewhere[path]

    def _unexplained_ends(self, entry: CountDifference, lives: list[ContainerRun]) -> None:
        """Explain the SIGKILLs from nobody, if there are kills enough for every one of them: else it is a guess.

        In a blind span it would always be one: what else died there, nobody knows.
        """
        if self._blindness.covers(entry.since_ns, entry.until_ns):
            return
        ends = self._ends_of(entry, lives)
        if len(ends) <= entry.kills:
            for life in ends:
                self._ends.oom_found(life)  # its claim takes a kill off the entry closest in time

    def _late_ends(self, entry: CountDifference, lives: list[ContainerRun]) -> None:
        """Explain ends that the engine told of after the entry was told as unplaced.

        Under cgroup v2 systemd removes a cgroup once it is empty, and the engine's `die` may follow seconds later.
        Without a new end nothing is decided anew: of two ends that one kill was too few for, one is forgotten first.
        """
        if any(not life.settled for life in self._ends_of(entry, lives)):
            self._unexplained_ends(entry, lives)

    def _ends_of(self, entry: CountDifference, lives: list[ContainerRun]) -> list[ContainerRun]:
        """Find the SIGKILLs from nobody that the entry's kills may have been: the prompt ones, if there are any."""
        far = [life for life in lives if self._is_unexplained(life) and could_be(entry, life.died_ns or 0)]
        near = [life for life in far if distance_ns(entry, life.died_ns or 0) <= _PROMPT_NS]
        return near or far

    def _last_of_an_ending(self, entry: CountDifference, lives: list[ContainerRun]) -> None:
        """Give what is left to the one container that was bleeding, and then ended, while nothing else did."""
        close = [life for life in lives if life.died_ns is not None and distance_ns(entry, life.died_ns) <= _PROMPT_NS]
        if len(close) != 1 or self._blindness.covers(entry.since_ns, entry.until_ns):
            return
        (life,) = close
        if life.pending or oom_near(life):
            for _ in range(entry.kills):
                self._kills.guess(life, life.died_ns or entry.until_ns)

    def _is_unexplained(self, life: ContainerRun) -> bool:
        """Tell whether a life ended in a way that an OOM kill could explain which the engine has lost."""
        if life.died_ns is None or life.exit_code != SIGKILL_EXIT or life.was_asked() or oom_near(life):
            return False
        length_ns = life.died_ns - (life.started_ns or 0)
        return self._engine_loses_kills or length_ns < _TOO_SHORT_NS

    def _tell(self, entry: CountDifference) -> None:
        blind = self._blindness.covers(entry.since_ns, entry.until_ns)
        entry.told = self._put(entry, entry.kills, "", blind=blind).id
        if blind:
            self._blindness.unplaced(entry.since_ns, entry.until_ns, entry.kills)

    def _put(self, entry: CountDifference, kills: int, where: str, *, blind: bool = False) -> Incident:
        text = f"oom_kill of /proc/vmstat rose by {kills} more than the containers' counters"
        return self._desk.put(
            Incident(
                id=identity(IncidentKind.UNATTRIBUTED_OOM_KILL, "", where, entry.until_ns),
                kind=IncidentKind.UNATTRIBUTED_OOM_KILL,
                severity=KINDS[IncidentKind.UNATTRIBUTED_OOM_KILL].severity,
                at=from_nanos(entry.since_ns),
                until=from_nanos(entry.until_ns),
                text=phrases.unplaced(kills, where, blind=blind),
                count=kills,
                evidence=(EvidenceItem("host_counter", text, from_nanos(entry.until_ns)),),
            )
        )

    def _revise_told(self) -> None:
        """A late event has placed kills that were told as unplaced: the incident gets smaller."""
        for entry in self._account.entries:
            incident = self._desk.get(entry.told)
            if incident is None or incident.count == entry.kills:
                continue
            text = phrases.unplaced(entry.kills, "", blind=False) if entry.kills else _ALL_PLACED
            severity = Severity.WARN if entry.kills else Severity.INFO
            self._desk.revise(incident.id, count=entry.kills, text=text, severity=severity)
            if self._blindness.covers(entry.since_ns, entry.until_ns):
                self._blindness.unplaced(entry.since_ns, entry.until_ns, entry.kills - incident.count)

    def _contradict(self, claim: Claim, lives: list[ContainerRun]) -> None:
        for life in lives:
            if (life.container_id, life.key) == (claim.container_id, claim.life):
                self._kills.take_back(life, min(claim.kills, life.guessed))
