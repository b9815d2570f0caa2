"""Which containers the kernel does not count for us, and how to say so: their OOM kills are estimates."""

from __future__ import annotations

from collections.abc import Callable, Mapping


class UnreadableCounters:
    """Told of the running containers each round. One that has just started may not be found yet: it is given a round.

    Args:
        counts: tells whether the kernel's counter of a container can be read.
    """

    def __init__(self, counts: Callable[[str], bool]) -> None:
        self._counts = counts
        self._suspected: frozenset[str] = frozenset()
        self._sentences: tuple[str, ...] = ()

    def look(self, running: Mapping[str, str]) -> None:
        """Take the names of the containers that run, by id."""
        missing = {one for one in running if not self._counts(one)}
        names = sorted(running[one] for one in missing & self._suspected)
        self._suspected = frozenset(missing)
        self._sentences = (_sentence(names),) if names else ()

    def troubles(self) -> tuple[str, ...]:
        """Say whose counters cannot be read; nothing when all can."""
        return self._sentences


def _sentence(names: list[str]) -> str:
    whose = names[0] if len(names) == 1 else f"{len(names)} containers"
    return f"the kernel's OOM counter of {whose} cannot be found: kills there are estimates, from Docker's events"
