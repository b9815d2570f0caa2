"""The host's own count of OOM kills, matched as a double entry with the kills placed in containers. Pure.

Each reading of the kernel has the host's count and the containers' counters at once. Kills that the host counted and no
readable counter shows are an open entry: the victim's cgroup was removed before it could be read. A death that is taken
for an OOM kill without a counter claims such an entry. A claim without an entry was wrong. An entry without a claim is
a kill in no known container.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, field
from typing import Any

from sidecar.common.times import SECOND_NS

SETTLE_NS = 5 * SECOND_NS // 2  # by then the event of a victim's exit is here, unless the engine is overloaded
_EARLY_NS = SECOND_NS // 2  # an event's stamp may be a little earlier than the reading that shows its kill
DEATH_TAKES_NS = 6 * SECOND_NS  # from the kill to the engine's event of the exit, on an overloaded machine
_SKEW_NS = 2 * SECOND_NS  # how far apart two readings can be if one saw a kill early and the other saw it late
_MOST_GONE = 500  # cgroups that were removed, or that a reading missed
_KEPT_NS = 60 * SECOND_NS  # an entry that became an incident can still be claimed by a late event
# The keys of the fields in the ledger, in the order of the fields. Older monitors read them: a contract.
_ENTRY_KEYS = ("since_ns", "until_ns", "kills", "told")
_CLAIM_KEYS = ("container_id", "life", "at_ns", "kills")


@dataclass(slots=True)
class CountDifference:
    """`kills` that the host counted between two readings and no container's counter showed (negative: the reverse).

    `incident_id` is the id of its incident, if nobody claimed the kills in time.
    """

    since_ns: int
    until_ns: int
    kills: int
    incident_id: str | None = None


@dataclass(slots=True)
class Claim:
    """`kills` assumed without a counter for one run of a container, which ended or lost a process at `at_ns`.

    `run_key` is the key of the run's start.
    """

    container_id: str
    run_key: str
    at_ns: int
    kills: int


@dataclass(slots=True)
class HostKillCount:
    """The open entries and claims. `total` is the host's count at the last reading, `boot_id` the boot it belongs to.

    `complete` holds each cgroup's counter from the last complete reading. `between` holds the counters from single
    readings since then, with their times. A cgroup that is missing in the next complete reading had that many kills.
    """

    boot_id: str = ""
    total: int | None = None
    read_ns: int = 0
    entries: list[CountDifference] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    complete: dict[int, int] = field(default_factory=dict)
    between: dict[int, tuple[int, int]] = field(default_factory=dict)

    def read(self, at_ns: int, boot_id: str, total: int | None, counters: Mapping[int, int]) -> None:
        """Process a complete reading: the host's count (None without one), and the counters of all cgroups by inode."""
        before, since_ns = self.total if self.boot_id == boot_id else None, self.read_ns
        placed = self._placed(at_ns, counters)
        self.boot_id, self.total = boot_id, total
        if total is None:
            return
        self.read_ns = at_ns
        if before is None:
            self.entries.clear()
            self.claims.clear()
            return  # the first reading of a boot has nothing to compare with
        if difference := total - before - placed:
            self.entries.append(CountDifference(since_ns, at_ns, difference))
            self._cancel()
        self._match()

    def begin_anew(self) -> None:
        """Let the next reading be the first one, so that kills counted in between do not matter."""
        self.total = None
        self.complete.clear()
        self.between.clear()

    def look(self, at_ns: int, cgroup: int, kills: int) -> None:
        """Process the counter of one cgroup, from a reading of this cgroup alone."""
        self.between[cgroup] = (kills, at_ns)

    def _placed(self, at_ns: int, counters: Mapping[int, int]) -> int:
        """Return how many kills the counters added since the last complete reading, removed cgroups included."""
        placed = sum(max(0, kills - self.complete.get(cgroup, 0)) for cgroup, kills in counters.items())
        later: dict[int, tuple[int, int]] = {}
        for cgroup, (kills, looked_ns) in self.between.items():
            if cgroup in counters:
                continue
            if looked_ns > at_ns:  # read after this reading, but arrived before it
                later[cgroup] = (kills, looked_ns)
            else:
                placed += max(0, kills - self.complete.get(cgroup, 0))
                self.complete[cgroup] = max(kills, self.complete.get(cgroup, 0))
        # If this reading missed a cgroup, its kills must not all count as new later. The kernel uses no inode twice.
        kept = {cgroup: kills for cgroup, kills in self.complete.items() if cgroup not in counters and kills}
        self.complete = {**dict(list(kept.items())[-_MOST_GONE:]), **counters}
        self.between = later
        return placed

    def claim(self, claim: Claim) -> None:
        """Claim kills for a run. Claims match entries now and as more entries come."""
        self.claims.append(claim)
        self._match()

    def overdue(self, now_ns: int) -> Iterator[CountDifference]:
        """Yield the entries that nobody claimed in time, oldest first."""
        for entry in list(self.entries):
            if entry.kills > 0 and entry.incident_id is None and entry.until_ns <= now_ns - SETTLE_NS:
                yield entry

    def reported(self) -> list[CountDifference]:
        """Return the entries that became an incident, and that nobody has claimed since."""
        return [entry for entry in self.entries if entry.kills > 0 and entry.incident_id is not None]

    def contradicted(self, now_ns: int) -> list[Claim]:
        """Remove and return the claims that the host's count should have confirmed by now, and has not."""
        if self.total is None:
            return []
        late = now_ns - SETTLE_NS
        # Only a reading made after the kill can contradict it.
        wrong = [claim for claim in self.claims if claim.at_ns <= late and self.read_ns > claim.at_ns + _EARLY_NS]
        self.claims = [claim for claim in self.claims if claim not in wrong]
        return wrong

    def sweep(self, now_ns: int) -> None:
        """Forget the matched entries, and the entries that are too old to matter."""
        self.entries = [entry for entry in self.entries if entry.kills and now_ns - entry.until_ns < _KEPT_NS]

    def to_json(self) -> dict[str, Any]:
        """Return the whole state for the ledger; its keys are a contract with older monitors."""
        return {
            **asdict(self),
            "entries": [dict(zip(_ENTRY_KEYS, astuple(entry), strict=True)) for entry in self.entries],
            "claims": [dict(zip(_CLAIM_KEYS, astuple(claim), strict=True)) for claim in self.claims],
            "complete": list(self.complete.items()),
            "between": list(self.between.items()),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> HostKillCount:
        """Read what `to_json` wrote."""
        return cls(
            boot_id=value.get("boot_id", ""),
            total=value.get("total"),
            read_ns=value.get("read_ns", 0),
            entries=[CountDifference(*map(entry.get, _ENTRY_KEYS)) for entry in value.get("entries", ())],
            claims=[Claim(*map(claim.get, _CLAIM_KEYS)) for claim in value.get("claims", ())],
            complete=dict(value.get("complete", ())),
            between={cgroup: (kills, at_ns) for cgroup, (kills, at_ns) in value.get("between", ())},
        )

    def _cancel(self) -> None:
        """Cancel out a reading that saw a counter early and a reading that saw the host's count late."""
        for debt in (entry for entry in self.entries if entry.kills < 0):
            for credit in reversed(self.entries):
                if credit.kills > 0 and credit.incident_id is None and abs(credit.until_ns - debt.until_ns) <= _SKEW_NS:
                    met = min(-debt.kills, credit.kills)
                    debt.kills += met
                    credit.kills -= met

    def _match(self) -> None:
        """Match claims with entries, the closest in time first, once the host was read after the claim."""
        pairs = [
            (distance_ns(entry, claim.at_ns), place, claim, entry)
            for place, claim in enumerate(self.claims)
            for entry in self.entries
            if entry.kills > 0 and claim.at_ns < self.read_ns and could_be(entry, claim.at_ns)
        ]
        for _, _, claim, entry in sorted(pairs, key=lambda pair: pair[:2]):
            met = min(entry.kills, claim.kills)
            entry.kills -= met
            claim.kills -= met
        self.claims = [claim for claim in self.claims if claim.kills]


def distance_ns(entry: CountDifference, at_ns: int) -> int:
    """Return how far a time lies outside an entry; 0 within it."""
    return max(0, entry.since_ns - at_ns, at_ns - entry.until_ns)


def could_be(entry: CountDifference, at_ns: int) -> bool:
    """Return whether a death, or an `oom` event, at this time can be of a kill in this entry."""
    return entry.since_ns - _EARLY_NS <= at_ns <= entry.until_ns + DEATH_TAKES_NS
