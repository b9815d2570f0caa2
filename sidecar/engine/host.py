"""The host machine: CPU, memory, load, disks and network.

Inside a container, psutil sees the host's CPUs, memory and disks, but the container's own network. A mounted copy of
the host's /proc/1/net/dev has the host's network.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import psutil

from sidecar.model.snapshot import Host

# Counted once: a mapped, loop or mirrored device passes its traffic on to the disk below, which counts it too.
_STACKED_DISKS = ("loop", "ram", "zram", "dm-", "md", "sr", "fd")
# The host's own interfaces only: traffic of a bridge never left the machine, or would count twice.
_INNER_INTERFACES = ("lo", "veth", "br-", "docker", "virbr", "cni", "flannel", "ifb")
_NET_DEV_HEADER_LINES = 2
_NET_DEV_TX_BYTES_COLUMN = 8


@dataclass(frozen=True, slots=True)
class HostCounters:
    """The counters that must be read twice to give a rate."""

    at_seconds: float
    cpu_busy_seconds: float
    cpu_total_seconds: float
    disk_read_bytes: int
    disk_write_bytes: int
    network_rx_bytes: int
    network_tx_bytes: int


class HostReader:
    """Reads the machine, and keeps the last reading to calculate rates.

    Args:
        monotonic: a clock in seconds that never jumps.
        net_dev: the host's network counters, in the format of /proc/net/dev.
        disk: a path on the disk whose usage matters (inside a container, `/` is on Docker's data disk).

    """

    def __init__(
        self, monotonic: Callable[[], float], net_dev: Path = Path("/proc/net/dev"), disk: Path = Path("/")
    ) -> None:
        self._monotonic, self._net_dev, self._disk = monotonic, net_dev, disk
        self._before: HostCounters | None = None

    def read(self) -> Host:
        """Read everything once.

        Raises:
            OSError, ValueError: the kernel's files could not be read or parsed.

        """
        now = self._counters()
        before, self._before = self._before, now
        memory = psutil.virtual_memory()
        return Host(
            cpu_percent=cpu_percent(before, now),
            cpu_count=psutil.cpu_count() or 1,
            load_1m=os.getloadavg()[0],
            memory_used_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            memory_percent=memory.percent,
            disk_read_bytes_per_second=_rate(before, now, "disk_read_bytes"),
            disk_write_bytes_per_second=_rate(before, now, "disk_write_bytes"),
            network_rx_bytes_per_second=_rate(before, now, "network_rx_bytes"),
            network_tx_bytes_per_second=_rate(before, now, "network_tx_bytes"),
            disk_used_percent=psutil.disk_usage(str(self._disk)).percent,
        )

    def _counters(self) -> HostCounters:
        times = psutil.cpu_times()
        # Linux counts guest time as user time as well.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        idle = times.idle + getattr(times, "iowait", 0.0)
        read, written = _disk_bytes()
        received, sent = network_bytes(self._net_dev.read_text(encoding="ascii", errors="replace"))
        return HostCounters(self._monotonic(), total - idle, total, read, written, received, sent)


def cpu_percent(before: HostCounters | None, now: HostCounters) -> float | None:
    """Return the busy share of all CPUs between two readings, 0 to 100; None without an earlier one."""
    if before is None or now.cpu_total_seconds <= before.cpu_total_seconds:
        return None
    busy = now.cpu_busy_seconds - before.cpu_busy_seconds
    return max(0.0, min(100.0, busy / (now.cpu_total_seconds - before.cpu_total_seconds) * 100))


def _rate(before: HostCounters | None, now: HostCounters, counter: str) -> float | None:
    """Return one counter's bytes per second; None without an earlier reading, or if it ran backwards (a new disk)."""
    if before is None or now.at_seconds <= before.at_seconds:
        return None
    change = float(getattr(now, counter) - getattr(before, counter))
    return change / (now.at_seconds - before.at_seconds) if change >= 0 else None


def network_bytes(net_dev: str) -> tuple[int, int]:
    """Add up what the machine's own network interfaces received and sent, from the text of /proc/net/dev.

    Raises:
        ValueError: the text has another format.

    """
    received = sent = 0
    for line in net_dev.splitlines()[_NET_DEV_HEADER_LINES:]:
        interface, _, numbers = line.partition(":")
        if interface.strip().startswith(_INNER_INTERFACES):
            continue
        columns = numbers.split()
        if len(columns) <= _NET_DEV_TX_BYTES_COLUMN:
            raise ValueError(f"a line of the network counters is {line!r}")
        received += int(columns[0])
        sent += int(columns[_NET_DEV_TX_BYTES_COLUMN])
    return received, sent


def _disk_bytes() -> tuple[int, int]:
    disks = psutil.disk_io_counters(perdisk=True) or {}
    whole = [counters for name, counters in disks.items() if _is_whole_disk(name, disks)]
    return sum(disk.read_bytes for disk in whole), sum(disk.write_bytes for disk in whole)


def _is_whole_disk(name: str, names: Collection[str]) -> bool:
    """Return whether it is a disk, not a partition (sda1, nvme0n1p2) or a device stacked on disks."""
    if name.startswith(_STACKED_DISKS):
        return False
    bare = name.rstrip("0123456789")
    parents = {bare, bare.removesuffix("p")} - {name}
    return not any(parent and parent in names for parent in parents)
