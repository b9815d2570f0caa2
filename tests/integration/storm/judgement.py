"""Truth against account: what the sidecar must say of a storm, and what it must not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tests.integration.storm.account import Account, Seen, Span
from tests.integration.storm.truth import Life, Truth

UNPLACED_PERCENT = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One container: what happened, and what the sidecar has."""

    truth: Truth
    kills: tuple[Seen, ...]
    excused: int  # kills that nobody can be asked to place: in a blind span, or of a life under 200 ms
    unwatched: int = 0  # those of them that happened while the sidecar itself was not running: the storm kills it

    @property
    def counted(self) -> int:
        """How many kills the sidecar has."""
        return sum(kill.count for kill in self.kills)

    @property
    def raw_events(self) -> int:
        """How many events of the engine it says that they rest on."""
        return sum(kill.raw_events for kill in self.kills)

    @property
    def wrong(self) -> str:
        """What is wrong with the sidecar's count; empty when it is right."""
        least = max(0, self.truth.least - self.excused)
        if self.counted > self.truth.most:
            return f"{self.counted - self.truth.most} more than happened"
        if self.counted < least:
            return f"{least - self.counted} missing"
        return ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The whole comparison.

    `host_kills` is how many kills the kernel counted over the storm; `most_unplaced_percent` how many of the victims'
    may be told as unplaced. Kills while the monitor was not running stand outside that share: how many there are is a
    matter of how long its start takes on this machine.
    """

    rows: tuple[Row, ...]
    strays: tuple[str, ...]
    unattributed: int
    host_kills: int
    blind: tuple[Span, ...]
    most_unplaced_percent: int = UNPLACED_PERCENT

    @property
    def happened(self) -> int:
        """Kills that the victims logged."""
        return sum(row.truth.most for row in self.rows)

    @property
    def placed(self) -> int:
        """Kills that the sidecar has on a victim."""
        return sum(row.counted for row in self.rows)

    @property
    def problems(self) -> list[str]:
        """Everything that breaks a rule, in a sentence each."""
        found = [f"{row.truth.name}: {row.wrong}" for row in self.rows if row.wrong]
        found += [f"a kill on the wrong container: {stray}" for stray in self.strays]
        missing = self.happened - self.placed
        watched = missing - sum(min(row.unwatched, max(0, row.truth.most - row.counted)) for row in self.rows)
        if watched * 100 > self.most_unplaced_percent * self.happened:
            found.append(
                f"{watched} of {self.happened} kills were not placed: more than {self.most_unplaced_percent} %"
            )
        if self.unattributed < missing:
            found.append(f"{missing} kills were not placed, and only {self.unattributed} are said to be")
        if self.host_kills < self.happened:
            found.append(f"the kernel counted {self.host_kills} kills, the victims logged {self.happened}")
        return found


def judge(truths: Sequence[Truth], account: Account, host_kills: int, ours: Collection[str]) -> Judgement:
    """Hold the account against the truth.

    Args:
        truths: of each victim.
        account: what the sidecar says.
        host_kills: by how much the kernel's own count rose over the storm.
        ours: the Compose projects of the test: what happened to other containers of this engine is not judged.
    """
    blind = [span for span in account.blind if not span.covered]

    absent = [span for span in blind if span.source == "sidecar"]

    def within(life: Life, spans: Sequence[Span]) -> int:
        return sum(any(span.holds(kill) for span in spans) for kill in life.kills)

    def excused(life: Life) -> int:
        return len(life.kills) if life.short else within(life, blind)

    rows = tuple(
        Row(
            truth,
            tuple(one for one in account.of_kind("oom_kill") if one.container_id == truth.container_id),
            sum(excused(life) for life in truth.lives),
            sum(within(life, absent) for life in truth.lives),
        )
        for truth in truths
    )
    known = {truth.container_id for truth in truths}
    strays = tuple(
        str(one.document["container"])
        for one in account.of_kind("oom_kill")
        if one.project in ours and one.container_id not in known
    )
    return Judgement(rows, strays, account.unattributed(), host_kills, account.blind)


def table(judgement: Judgement) -> str:
    """The comparison for people."""
    lines = [f"{'container':44}{'lives':>6}{'killed':>8}{'counted':>9}{'events':>8}  "]
    for row in judgement.rows:
        figures = f"{len(row.truth.lives):6}{row.truth.most:8}{row.counted:9}{row.raw_events:8}"
        lines.append(f"{row.truth.name[-43:]:44}{figures}  {row.wrong}")
        if row.wrong:
            lines += [f"    {life}" for life in row.truth.lives]
            lines += [f"    {kill.count} at {kill.document['at']}: {grounds(kill)}" for kill in row.kills]
    events = sum(row.raw_events for row in judgement.rows)
    lines.append(f"{'all':50}{judgement.happened:8}{judgement.placed:9}{events:8}")
    lines.append(f"unattributed {judgement.unattributed}; the kernel counted {judgement.host_kills} on this host")
    lines += [f"{span.source} blind{', made up for' if span.covered else ''}: {span.text}" for span in judgement.blind]
    return "\n".join(lines + judgement.problems)


def grounds(kill: Seen) -> str:
    """What a kill rests on, by the sidecar's own word."""
    return "; ".join(f"{one['what']} {one['at']} {one['text']}" for one in kill.document.get("evidence", ()))
