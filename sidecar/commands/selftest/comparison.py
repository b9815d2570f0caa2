"""What happened against what the sidecar saw. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sidecar.model.incident import FINAL, Incident, IncidentKind

_COLUMNS = ("VICTIM", "CONTAINER", "KILLED", "SEEN", "")


@dataclass(frozen=True, slots=True)
class VictimRow:
    """One victim: how often it was killed by its own witness, and how many of that the sidecar recorded.

    `settled`: what the sidecar says is its last word.
    """

    name: str
    container_id: str
    killed: int
    seen: int
    estimated: bool = False
    settled: bool = True

    @property
    def passed(self) -> bool:
        """Whether both say the same."""
        return self.killed == self.seen

    @property
    def word(self) -> str:
        """The judgement in a word or two."""
        if self.passed:
            return "seen (estimated)" if self.estimated else "seen"
        return f"{self.killed - self.seen} MISSED" if self.seen < self.killed else f"{self.seen - self.killed} TOO MANY"


def compare(
    names: Mapping[str, str], losses: Mapping[str, int], incidents: Iterable[Incident]
) -> tuple[VictimRow, ...]:
    """Hold the victims' losses against the incidents; `names` and `losses` go by container id."""
    kills = [incident for incident in incidents if incident.kind is IncidentKind.OOM_KILL]
    rows = []
    for container_id, killed in losses.items():
        own = [kill for kill in kills if kill.container_id == container_id]
        rows.append(
            VictimRow(
                name=names[container_id],
                container_id=container_id,
                killed=killed,
                seen=sum(one.count for one in own),
                estimated=any(one.estimated for one in own),
                settled=all(one.state == FINAL for one in own),
            )
        )
    return tuple(rows)


def table(rows: Sequence[VictimRow]) -> Iterator[str]:
    """Yield the comparison line by line."""
    cells = [
        _COLUMNS,
        *((row.name, row.container_id[:12], str(row.killed), str(row.seen), row.word) for row in rows),
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_COLUMNS))]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def verdict(rows: Sequence[VictimRow]) -> str:
    """Say in one line what the comparison comes to."""
    killed, seen = sum(row.killed for row in rows), sum(row.seen for row in rows)
    if all(row.passed for row in rows):
        return f"passed: the sidecar saw each of {killed} OOM kills"
    return f"FAILED: {killed} OOM kills happened, the sidecar recorded {seen}"
