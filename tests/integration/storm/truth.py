"""What really happened to the victims, from their own logs and from the engine's record of their main processes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.integration.stacks import docker
from tests.integration.storm.victims import Victim

OUTLIVED_NS = 1_000_000_000  # from here on a container is said to have outlived a kill
SHORT_NS = 200_000_000  # a life shorter than this may end unseen by whoever looks for it


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a victim's log."""

    ns: int
    what: str


@dataclass(frozen=True, slots=True)
class Life:
    """One start of a container: when it ended (None: it goes on), and when in it processes were killed.

    `main` tells that the last of them was its main process.
    """

    began_ns: int
    ended_ns: int | None
    kills: tuple[int, ...]
    main: bool

    @property
    def outlived(self) -> int:
        """How many kills the container outlived by a second."""
        return sum(self.ended_ns is None or self.ended_ns - kill >= OUTLIVED_NS for kill in self.kills)

    @property
    def short(self) -> bool:
        """Whether it was over before anybody could look."""
        return self.ended_ns is not None and self.ended_ns - self.began_ns < SHORT_NS


@dataclass(frozen=True, slots=True)
class Truth:
    """What happened in one container, all its lives together."""

    container_id: str
    name: str
    lives: tuple[Life, ...]

    @property
    def most(self) -> int:
        """Kills that happened."""
        return sum(len(life.kills) for life in self.lives)

    @property
    def least(self) -> int:
        """Kills that must be known: each that was outlived by a second, and one where the container went with them."""
        return sum(life.outlived + (len(life.kills) > life.outlived) for life in self.lives)


def truth_of(victim: Victim) -> Truth:
    """The truth about one victim, which has come to rest."""
    if victim.said is not None:
        lines = lines_of(victim.said)
        # Removed with its end: when that was is not known, but `tail` needs no time worth counting.
        return Truth(victim.id, victim.shape.name, lives_of(lines, lines[-1].ns))
    found = json.loads(docker("inspect", victim.id))[0]
    lines = lines_of(docker("logs", victim.id))
    # On a busy machine a process that was exec'ed is at work before the main one has said that it is there.
    started = min((line.ns for line in lines if line.what == "start"), default=0)
    lines += [Line(max(line.ns, started + 1), line.what) for line in lines_of(victim.execs) if line.what == "loss"]
    lives = lives_of(sorted(lines, key=lambda line: line.ns), ended_ns(found["State"]))
    agree(found, lives)
    return Truth(victim.id, str(found["Name"]).removeprefix("/"), lives)


def lines_of(log: str) -> list[Line]:
    """The lines of a victim's log."""
    said = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [Line(int(one["ns"]), str(one["what"])) for one in said]


def lives_of(lines: list[Line], ended: int | None) -> tuple[Life, ...]:
    """Cut a log into lives. A main process that was eating when its life ended was killed."""
    starts = [number for number, line in enumerate(lines) if line.what == "start"]
    assert starts, "a victim that never started"
    assert starts[0] == 0, "a victim's log without its beginning"
    lives = []
    for begin, following in zip(starts, [*starts[1:], len(lines)], strict=True):
        own = lines[begin:following]
        assert not [line for line in own if line.what == "survived"], "a process that should have been killed lived"
        end = lines[following].ns if following < len(lines) else ended
        main = own[-1].what == "eating" and end is not None
        kills = tuple(line.ns for line in own if line.what == "loss" or (main and line is own[-1]))
        # A main process that was killed ended its life there and then; the next start only came later.
        lives.append(Life(own[0].ns, kills[-1] if main else end, kills, main))
    return tuple(lives)


def ended_ns(state: dict[str, Any]) -> int | None:
    """When a container ended, nanoseconds since 1970; None while it runs."""
    return None if state["Running"] else nanoseconds(state["FinishedAt"])


def nanoseconds(stamp: str) -> int:
    """A time stamp of the engine as nanoseconds since 1970."""
    whole, _, part = stamp.removesuffix("Z").partition(".")
    seconds = datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()
    return int(seconds) * 1_000_000_000 + int(part.ljust(9, "0")[:9] or 0)


def agree(found: dict[str, Any], lives: tuple[Life, ...]) -> None:
    """The engine's record must agree with the log: no restart without its start, SIGKILL as the end of a killed one.

    There may be more starts than RestartCount says: it leaves out those that follow a start of the daemon.
    """
    assert found["RestartCount"] <= len(lives) - 1, f"{found['RestartCount']} restarts, {len(lives)} starts logged"
    if lives[-1].main:
        assert found["State"]["ExitCode"] == 137, found["State"]


def resting(victim: Victim) -> bool:
    """Whether nothing more will happen in this container: it says so, or it is over and stays down."""
    state = json.loads(docker("inspect", "--format", "{{json .State}}", victim.id))
    if state["Status"] == "exited":
        return True
    return state["Running"] and any(line.what == "done" for line in lines_of(docker("logs", "--tail", "1", victim.id)))
