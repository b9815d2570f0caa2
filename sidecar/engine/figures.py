"""The formulas of `docker stats`. Pure.

One-shot readings carry no earlier sample of their own, so the rates are made of two readings in a row. The caller
keys readings by (container, StartedAt); a counter that runs backwards all the same means a restart that nobody has
told us of yet, and gives no rate at all rather than a wrong one.
"""

from __future__ import annotations

from sidecar.model.observation import Stats, StatsReading


def figures(before: StatsReading | None, now: StatsReading) -> Stats:
    """Make the figures of one container from its latest reading and the one before, if there is one."""
    working_set = now.memory_working_set_bytes
    limit = now.memory_limit_bytes
    return Stats(
        sampled_at=now.read_at,
        cpu_percent=_cpu_percent(before, now) if before else None,
        throttled_percent=_throttled_percent(before, now) if before else None,
        memory_working_set_bytes=working_set,
        memory_usage_bytes=now.memory_usage_bytes,
        memory_percent=working_set / limit * 100 if limit else None,
        network_rx_bytes=now.network_rx_bytes,
        network_tx_bytes=now.network_tx_bytes,
        block_read_bytes=now.block_read_bytes,
        block_write_bytes=now.block_write_bytes,
        pids=now.pids,
    )


def restarted(before: StatsReading, now: StatsReading) -> bool:
    """Tell whether the processor counter ran backwards: a new process tree counts from zero."""
    return now.cpu_total_ns < before.cpu_total_ns


def _cpu_percent(before: StatsReading, now: StatsReading) -> float | None:
    """100 is one core; 0 when the container did nothing; None when the two readings allow no answer."""
    if before.system_cpu_ns is None or now.system_cpu_ns is None:
        return None
    system_ns = now.system_cpu_ns - before.system_cpu_ns
    container_ns = now.cpu_total_ns - before.cpu_total_ns
    if system_ns <= 0 or container_ns < 0:
        return None
    return container_ns / system_ns * now.online_cpus * 100


def _throttled_percent(before: StatsReading, now: StatsReading) -> float | None:
    """Share of the scheduler's periods in which the container was held back; None where no quota is set."""
    periods = now.cpu_periods - before.cpu_periods
    throttled = now.cpu_throttled_periods - before.cpu_throttled_periods
    if periods < 0 or throttled < 0 or now.cpu_periods == 0:
        return None
    return throttled / periods * 100 if periods else 0.0
