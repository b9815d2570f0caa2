"""OOM kill counters, read from the kernel: the host's counter all the time, the containers' when it moves.

The kernel increments the host's count (`oom_kill` in /proc/vmstat) and the cgroup's counter together, before the victim
is dead. The host's count costs one system call, twenty times per second. When it moves, all counters are read at once,
and again one poll later. So a container that dies of its kill is read while its cgroup exists.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sidecar.common.repeated import Repeated
from sidecar.common.times import SECOND_NS
from sidecar.engine.cgroups import Cgroups, ContainerCounter
from sidecar.model.signal import Counter, KernelReading, Signal

_log = logging.getLogger(__name__)

_BEAT_NS = SECOND_NS  # a complete reading at least this often proves that somebody watches the kernel
_SURVEY_NS = SECOND_NS  # cgroups outside containers are read at most this often: there may be thousands
_SCAN_NS = 10 * SECOND_NS  # the whole tree is searched at most this often, for a container outside the known parents
_VMSTAT_BYTES = 1 << 16


class HostCounter:
    """`oom_kill` of /proc/vmstat: the host's count, even when read inside a container."""

    def __init__(self, vmstat: Path) -> None:
        self._path = vmstat
        self._fd: int | None = None

    def kills(self) -> int | None:
        """Read the count; None if the file cannot be read or this kernel does not count."""
        try:
            if self._fd is None:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            text = os.pread(self._fd, _VMSTAT_BYTES, 0)
        except OSError:
            self.close()
            return None
        start = text.find(b"\noom_kill ")
        return int(text[start + 10 : text.find(b"\n", start + 1)]) if start >= 0 else None

    def close(self) -> None:
        """Close the file; the next reading opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class KernelWatch(Repeated):
    """Puts a KernelReading when the host's count of OOM kills has moved, one poll later again, and every second.

    A reading takes the host's count first. A kill during the reading may show in a counter and not yet in the host's
    count, never the reverse. The next reading corrects it.

    Args:
        cgroups: where the counters are.
        vmstat: the host's /proc/vmstat.
        boot_id: the kernel's random id of this boot (/proc/sys/kernel/random/boot_id): counts start again with each
            boot.
        put: takes each reading; called in the watch's thread, and must not block.
        now_ns: the clock, in nanoseconds since 1970.
        poll_seconds: how often the host's count is read.

    """

    def __init__(
        self,
        cgroups: Cgroups,
        *,
        vmstat: Path,
        boot_id: Path,
        put: Callable[[Signal], None],
        now_ns: Callable[[], int],
        poll_seconds: float = 0.05,
    ) -> None:
        self._cgroups, self._host = cgroups, HostCounter(vmstat)
        self._put, self._now_ns, self._poll_seconds = put, now_ns, poll_seconds
        self._boot_id = _first_line(boot_id)
        self._guard = threading.Lock()  # for the counters and the tree: other threads call track, forget and read
        self._counters: dict[str, ContainerCounter] = {}
        self._wanted: set[str] = set()  # tracked, open or not
        self._unscanned: set[str] = set()  # wanted, not found, and not yet searched for in the whole tree
        self._scanned_ns = self._surveyed_ns = self._beat_ns = 0
        self._last_kills: int | None = None
        self._kills_of: dict[int, int] = {}  # of each cgroup in the last complete reading
        self._once_more = self._blind = False
        self._survey_due = True
        super().__init__("kernel", first_in_seconds=poll_seconds)

    def stop(self, patience_seconds: float | None = 2.0) -> None:
        """End the watch and close all files."""
        super().stop(patience_seconds)
        with self._guard:
            for container_id in list(self._counters):
                self._drop(container_id)
            self._wanted.clear()
            self._host.close()

    def track(self, container_id: str) -> None:
        """Watch this container from now on, over its restarts. Cheap to repeat; opens its counter if possible."""
        with self._guard:
            self._wanted.add(container_id)
            if self._counter(container_id) is None:
                self._unscanned.add(container_id)

    def forget(self, container_id: str) -> None:
        """Stop watching this container."""
        with self._guard:
            self._wanted.discard(container_id)
            self._unscanned.discard(container_id)
            self._drop(container_id)

    def read(self, container_id: str) -> KernelReading | None:
        """Read one container's counter and peak now; None if its cgroup is missing. Not a complete reading."""
        with self._guard:
            at_ns, host_kills = self._now_ns(), self._host.kills()
            counter = self._read(container_id)
            peak = self._counters[container_id].peak_bytes() if counter is not None else None
        if counter is None:
            return None
        counter = replace(counter, peak_bytes=peak)
        return KernelReading(at_ns, self._boot_id, host_kills, {container_id: counter}, complete=False)

    def counts(self, container_id: str) -> bool:
        """Return whether this container's counter can be read. `problems` reports a missing tree once."""
        with self._guard:
            return self._cgroups.version is None or self._counter(container_id) is not None

    def problems(self) -> tuple[str, ...]:
        """Return one sentence for each kernel counter that cannot be read."""
        problems = []
        if self._cgroups.version is None:
            text = "is no cgroup tree with a memory controller: OOM kills are estimates, from Docker's events"
            problems.append(f"{self._cgroups.root} {text}")
        if self._blind:
            problems.append("the host's count of OOM kills cannot be read, so a missed kill stays unknown")
        if not self._boot_id:
            problems.append("the boot id cannot be read: OOM kills while the monitor was down are estimates")
        return tuple(problems)

    def turn(self) -> float:
        """Read the host's count, and all counters if it has moved."""
        with self._guard:
            kills, now_ns = self._host.kills(), self._now_ns()
            self._blind = kills is None
            moved = kills != self._last_kills
            if not (moved or self._once_more or _is_over(self._beat_ns, _BEAT_NS, now_ns)):
                return self._poll_seconds
            self._last_kills, self._once_more, self._beat_ns = kills, moved, now_ns
            self._survey_due |= moved
            reading = self._complete(now_ns, kills)
        self._put(reading)
        return self._poll_seconds

    def _complete(self, at_ns: int, host_kills: int | None) -> KernelReading:
        self._seek(at_ns)
        containers = {}
        for container_id in self._wanted | self._counters.keys() | self._cgroups.present():
            counter = self._read(container_id)
            if counter is not None:
                containers[container_id] = self._with_peak(container_id, counter)
            elif container_id not in self._unscanned:
                self._wanted.discard(container_id)  # if it starts again, `present` has it
        self._kills_of = {container.cgroup: container.kills for container in containers.values()}
        return KernelReading(at_ns, self._boot_id, host_kills, containers, self._survey(at_ns))

    def _with_peak(self, container_id: str, counter: Counter) -> Counter:
        """Add the peak of memory for a container that has just lost a process, because it may be gone soon."""
        if counter.kills <= self._kills_of.get(counter.cgroup, 0):
            return counter
        return replace(counter, peak_bytes=self._counters[container_id].peak_bytes())

    def _seek(self, now_ns: int) -> None:
        """Search the whole tree for containers outside the known parents, once for each."""
        self._unscanned -= {known for known in self._unscanned if self._counter(known) is not None}
        if self._unscanned and _is_over(self._scanned_ns, _SCAN_NS, now_ns):
            self._scanned_ns = now_ns
            self._cgroups.scan(self._unscanned)
            self._unscanned.clear()

    def _survey(self, now_ns: int) -> dict[str, int]:
        if not self._survey_due or not _is_over(self._surveyed_ns, _SURVEY_NS, now_ns):
            return {}
        self._survey_due, self._surveyed_ns = False, now_ns
        return self._cgroups.elsewhere({counter.directory for counter in self._counters.values()})

    def _read(self, container_id: str) -> Counter | None:
        """Read a counter. If its cgroup is gone, search for it again, because a restart makes a new one."""
        counter = self._counter(container_id)
        if counter is None:
            return None
        if (reading := counter.read()) is not None:
            return reading
        self._drop(container_id)
        counter = self._counter(container_id)
        return counter.read() if counter is not None else None

    def _counter(self, container_id: str) -> ContainerCounter | None:
        if container_id not in self._counters and (opened := self._cgroups.open(container_id)) is not None:
            self._counters[container_id] = opened
        return self._counters.get(container_id)

    def _drop(self, container_id: str) -> None:
        if (counter := self._counters.pop(container_id, None)) is not None:
            counter.close()


def _is_over(since_ns: int, span_ns: int, now_ns: int) -> bool:
    """Return whether a span has passed; a clock that was set back ends it too."""
    return not since_ns <= now_ns < since_ns + span_ns


def _first_line(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""
