"""Reads the containers of the project, as cheaply as the engine allows.

Each round costs one list and one stats reading for each running container. It inspects a container only in four cases:
an event reports a change (no list shows a restart between two rounds), the list shows a change, a counter ran
backwards, or ten seconds have passed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sidecar.common.errors import EngineError
from sidecar.common.units import plural
from sidecar.engine.container_reader import Engine
from sidecar.engine.stats import figures, restarted
from sidecar.model.observation import Inspected, Listed, Stats, StatsReading
from sidecar.monitor.assembly import ContainerReadings

INSPECT_EVERY_SECONDS = 10.0
READERS = 4  # answers of the engine awaited at the same time
ROUND_SECONDS = 4.0  # after this a round asks nothing more (inspects: after half of it): better incomplete than late

Answer = TypeVar("Answer")


class TooSlowError(EngineError):
    """This round had no time left to ask."""


@dataclass(frozen=True, slots=True)
class EngineReading:
    """The containers of one round; `unread` has one sentence for each kind of answer that some of them lack.

    `inspected` are the ids that this round inspected. `gone` are the ids that only the round before had.
    """

    containers: tuple[ContainerReadings, ...]
    unread: tuple[str, ...]
    inspected: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Memory:
    """The state of one container between rounds."""

    listed: Listed
    inspected: Inspected | None = None
    inspected_at_seconds: float = 0.0
    inspect_asked_seconds: float = 0.0
    stats_asked_seconds: float = 0.0
    counters: StatsReading | None = None
    baseline_started_at: datetime | None = None


class ContainerPoller:
    """Reads the containers round by round. `read` is for one thread; the calls within it run on `pool`."""

    def __init__(self, engine: Engine, pool: Executor, monotonic: Callable[[], float]) -> None:
        self._engine = engine
        self._pool = pool
        self._monotonic = monotonic
        self._memories: dict[str, _Memory] = {}
        self._changed: set[str] = set()

    def inspect_soon(self, container_id: str) -> None:
        """Mark a container as changed: the next round inspects it. For any thread."""
        self._changed.add(container_id)

    def read(self) -> EngineReading:
        """Read all containers once.

        Raises:
            EngineError: the engine did not list the containers.
        """
        memories = [self._remember(listed) for listed in self._engine.containers()]
        before, self._memories = self._memories, {memory.listed.id: memory for memory in memories}
        changed, self._changed = self._changed, set()
        began = self._monotonic()
        wanting = [memory for memory in memories if memory.listed.id in changed or self._wants_inspect(memory)]
        wanting.sort(key=lambda memory: memory.inspect_asked_seconds)  # each gets its turn, even when time is short
        unread = self._inspect(wanting, began + ROUND_SECONDS / 2)
        running = [memory for memory in memories if memory.listed.state == "running"]
        running.sort(key=lambda memory: memory.stats_asked_seconds)
        stats, unread_stats = self._stats(running, began + ROUND_SECONDS)
        containers = tuple(_readings(memory, stats.get(memory.listed.id)) for memory in memories)
        return EngineReading(
            containers,
            tuple(unread + unread_stats),
            frozenset(memory.listed.id for memory in wanting),
            frozenset(before.keys() - self._memories.keys()),
        )

    def _remember(self, listed: Listed) -> _Memory:
        memory = self._memories.get(listed.id)
        if memory is None:
            return _Memory(listed)
        if (listed.state, listed.health) != (memory.listed.state, memory.listed.health):
            memory.inspected_at_seconds = 0.0
        memory.listed = listed
        return memory

    def _wants_inspect(self, memory: _Memory) -> bool:
        if memory.inspected is None or not memory.inspected_at_seconds:
            return True
        return self._monotonic() - memory.inspected_at_seconds >= INSPECT_EVERY_SECONDS

    def _inspect(self, memories: Sequence[_Memory], until: float) -> list[str]:
        failures = []
        now = self._monotonic()
        for memory, answer in self._each(self._engine.inspect, memories, until):
            if not isinstance(answer, TooSlowError):
                memory.inspect_asked_seconds = now
            if isinstance(answer, EngineError):
                failures.append(answer)
            else:
                memory.inspected = answer
                memory.inspected_at_seconds = self._monotonic()
        return _sentence(failures, "details")

    def _stats(self, memories: Sequence[_Memory], until: float) -> tuple[dict[str, Stats], list[str]]:
        failures, stats = [], {}
        now = self._monotonic()
        for memory, answer in self._each(self._engine.stats, memories, until):
            if not isinstance(answer, TooSlowError):
                memory.stats_asked_seconds = now
            if isinstance(answer, EngineError):
                failures.append(answer)
            elif answer is not None:
                stats[memory.listed.id] = _figures(memory, answer)
        return stats, _sentence(failures, "figures")

    def _each(
        self, question: Callable[[str], Answer], memories: Sequence[_Memory], until: float
    ) -> Iterator[tuple[_Memory, Answer | EngineError]]:
        """Ask one question of each container, several at a time, in any order. Starts no call after `until`."""

        def ask(memory: _Memory) -> Answer | EngineError:
            if self._monotonic() >= until:
                return TooSlowError("Docker was too slow for this round")
            try:
                return question(memory.listed.id)
            except EngineError as error:
                return error

        def ask_all(part: Sequence[_Memory]) -> list[tuple[_Memory, Answer | EngineError]]:
            return [(memory, ask(memory)) for memory in part]

        # One slice for each thread, not one task for each container: a task costs as much as an answer.
        slices = [memories[start::READERS] for start in range(min(READERS, len(memories)))]
        return itertools.chain.from_iterable(self._pool.map(ask_all, slices))


def _readings(memory: _Memory, figures: Stats | None) -> ContainerReadings:
    return ContainerReadings(memory.listed, memory.inspected, figures, memory.counters if figures else None)


def _figures(memory: _Memory, now: StatsReading) -> Stats:
    """Make figures from the reading before, if that reading is of the same start of the container."""
    started_at = memory.inspected.started_at if memory.inspected else None
    before = memory.counters if memory.baseline_started_at == started_at else None
    if before is not None and restarted(before, now):
        before, memory.inspected_at_seconds = None, 0.0
    memory.counters, memory.baseline_started_at = now, started_at
    return figures(before, now)


def _sentence(failures: Sequence[EngineError], of_what: str) -> list[str]:
    if not failures:
        return []
    return [f"the {of_what} of {plural(len(failures), 'container')} could not be read: {failures[0].what}"]


class UnreadableCounters:
    """The running containers whose OOM kills no kernel counter shows: their kills are estimates.

    A container that has just started may not be found yet, so it gets one more round.

    Args:
        counts: returns whether the kernel's counter of a container can be read.
    """

    def __init__(self, counts: Callable[[str], bool]) -> None:
        self._counts = counts
        self._suspected: frozenset[str] = frozenset()
        self._sentences: tuple[str, ...] = ()

    def look(self, running: Mapping[str, str]) -> None:
        """Set the running containers: name by id."""
        missing = {container_id for container_id in running if not self._counts(container_id)}
        names = sorted(running[container_id] for container_id in missing & self._suspected)
        self._suspected = frozenset(missing)
        whose = names[0] if len(names) == 1 else f"{len(names)} containers"
        text = f"the kernel's OOM counter of {whose} cannot be found: kills there are estimates, from Docker's events"
        self._sentences = (text,) if names else ()

    def problems(self) -> tuple[str, ...]:
        """Return one sentence about the containers whose counters cannot be read; empty if all can be read."""
        return self._sentences
