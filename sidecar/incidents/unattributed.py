"""Kills that the host counted and no container claimed in time: placed by exclusion if safe, else reported. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.common.times import SECOND_NS, from_nanos
from sidecar.incidents import phrases
from sidecar.incidents.container_history import ContainerRun
from sidecar.incidents.exits import Exits, oom_near
from sidecar.incidents.gaps import ObservationGaps
from sidecar.incidents.host_count import Claim, CountDifference, HostKillCount, could_be, distance_ns
from sidecar.incidents.kills import Kills
from sidecar.incidents.store import IncidentStore
from sidecar.model.incident import SIGKILL_EXIT, EvidenceItem, Incident, IncidentKind, Severity, identity
from sidecar.model.incident_kinds import KINDS

_TOO_SHORT_NS = SECOND_NS  # even under cgroup v1 the engine can miss events in a run this short
_PROMPT_NS = SECOND_NS // 2  # from a kill to the exit that it causes, on a machine that is not overloaded

_ALL_PLACED = "OOM kills in unknown containers: all their containers are known now"


@dataclass(frozen=True, slots=True)
class UnattributedKills:
    """Places the overdue entries of the host's count, or makes incidents of them."""

    store: IncidentStore
    host_count: HostKillCount
    kills: Kills
    exits: Exits
    gaps: ObservationGaps
    engine_loses_kills: bool

    def tick(self, now_ns: int, runs: Iterable[ContainerRun], elsewhere: dict[str, int]) -> None:
        """Place or report each overdue entry. Reported kills in cgroups outside Docker are taken out of `elsewhere`."""
        reported, overdue = self.host_count.reported(), list(self.host_count.overdue(now_ns))
        everyone = list(runs) if reported or overdue or self.host_count.claims else []
        for entry in reported:
            self._late_ends(entry, everyone)
        for entry in overdue:
            self._outside(entry, elsewhere)
            self._unexplained_ends(entry, everyone)
        for entry in overdue:
            self._last_of_an_ending(entry, everyone)
            if entry.kills > 0:
                self._report(entry)
        self._revise_reported()
        for claim in self.host_count.contradicted(now_ns):
            self._contradict(claim, everyone)
        self.host_count.sweep(now_ns)

    def _outside(self, entry: CountDifference, elsewhere: dict[str, int]) -> None:
        for path in list(elsewhere):
            kills = min(entry.kills, elsewhere[path])
            if kills > 0:
                entry.kills -= kills
                elsewhere[path] -= kills
                self._put(entry, kills, path)
            if elsewhere[path] <= 0:
                del elsewhere[path]

    def _unexplained_ends(self, entry: CountDifference, runs: list[ContainerRun]) -> None:
        """Explain the SIGKILLs from an unknown sender, if there are enough kills for all of them.

        With fewer kills it would be a guess. In a blind span it would always be a guess, because nobody knows what
        else died then.
        """
        if self.gaps.covers(entry.since_ns, entry.until_ns):
            return
        ends = self._ends_of(entry, runs)
        if len(ends) <= entry.kills:
            for run in ends:
                self.exits.oom_found(run)  # its claim takes a kill from the entry closest in time

    def _late_ends(self, entry: CountDifference, runs: list[ContainerRun]) -> None:
        """Explain exits whose events came after the entry became an incident.

        Under cgroup v2 systemd removes a cgroup once it is empty, and the engine's `die` may follow seconds later.
        Without a new exit nothing is decided again. If one kill was too few for two exits, one of them is forgotten
        first.
        """
        if any(not run.exit.settled for run in self._ends_of(entry, runs)):
            self._unexplained_ends(entry, runs)

    def _ends_of(self, entry: CountDifference, runs: list[ContainerRun]) -> list[ContainerRun]:
        """Find the SIGKILLs from an unknown sender that the entry's kills may be: the prompt ones, if there are any."""
        far = [run for run in runs if self._is_unexplained(run) and could_be(entry, run.exit.died_ns or 0)]
        near = [run for run in far if distance_ns(entry, run.exit.died_ns or 0) <= _PROMPT_NS]
        return near or far

    def _last_of_an_ending(self, entry: CountDifference, runs: list[ContainerRun]) -> None:
        """Give the rest to a container that lost processes to OOM kills and then ended, if there is only one."""
        close = [
            run for run in runs if run.exit.died_ns is not None and distance_ns(entry, run.exit.died_ns) <= _PROMPT_NS
        ]
        if len(close) != 1 or self.gaps.covers(entry.since_ns, entry.until_ns):
            return
        (run,) = close
        if run.kills.pending or oom_near(run):
            for _ in range(entry.kills):
                self.kills.guess(run, run.exit.died_ns or entry.until_ns)

    def _is_unexplained(self, run: ContainerRun) -> bool:
        """Return whether an OOM kill that the engine missed could explain how a run ended."""
        if run.exit.died_ns is None or run.exit.exit_code != SIGKILL_EXIT or run.stop_requested() or oom_near(run):
            return False
        length_ns = run.exit.died_ns - (run.start.started_ns or 0)
        return self.engine_loses_kills or length_ns < _TOO_SHORT_NS

    def _report(self, entry: CountDifference) -> None:
        blind = self.gaps.covers(entry.since_ns, entry.until_ns)
        entry.incident_id = self._put(entry, entry.kills, "", blind=blind).id
        if blind:
            self.gaps.unplaced(entry.since_ns, entry.until_ns, entry.kills)

    def _put(self, entry: CountDifference, kills: int, where: str, *, blind: bool = False) -> Incident:
        text = f"oom_kill of /proc/vmstat rose by {kills} more than the containers' counters"
        return self.store.put(
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

    def _revise_reported(self) -> None:
        """Reduce the incidents whose kills a late event has placed since."""
        for entry in self.host_count.entries:
            incident = self.store.get(entry.incident_id)
            if incident is None or incident.count == entry.kills:
                continue
            text = phrases.unplaced(entry.kills, "", blind=False) if entry.kills else _ALL_PLACED
            severity = Severity.WARN if entry.kills else Severity.INFO
            self.store.revise(incident.id, count=entry.kills, text=text, severity=severity)
            if self.gaps.covers(entry.since_ns, entry.until_ns):
                self.gaps.unplaced(entry.since_ns, entry.until_ns, entry.kills - incident.count)

    def _contradict(self, claim: Claim, runs: list[ContainerRun]) -> None:
        for run in runs:
            if (run.container_id, run.start.key) == (claim.container_id, claim.run_key):
                self.kills.take_back(run, min(claim.kills, run.kills.guessed))
