"""The machine's figures: which cards and disks count, and how two readings make a rate."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.engine.host import HostCounters, HostReader, _is_whole_disk, cpu_percent, network_bytes

NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9999999     100    0    0    0     0          0         0  9999999     100    0    0    0     0       0          0
  eth0: {rx}     200    0    0    0     0          0         0     {tx}     150    0    0    0     0       0          0
docker0: 777       2    0    0    0     0          0         0      888       3    0    0    0     0       0          0
veth12ab: 5       2    0    0    0     0          0         0      6       3    0    0    0     0       0          0
br-4f: 5       2    0    0    0     0          0         0      6       3    0    0    0     0       0          0
enp3s0:10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0
"""  # noqa: E501  as the kernel prints it


def counters(seconds: float, busy: float, total: float) -> HostCounters:
    return HostCounters(seconds, busy, total, 0, 0, 0, 0)


def test_only_the_machines_own_cards_are_counted() -> None:
    assert network_bytes(NET_DEV.format(rx=1000, tx=400)) == (1010, 420)


def test_counters_of_another_format_are_refused() -> None:
    with pytest.raises(ValueError, match="network counters"):
        network_bytes("a\nb\neth0: 1 2\n")


def test_rates_are_the_change_over_the_time_between_two_readings(tmp_path: Path) -> None:
    path, seconds = tmp_path / "net_dev", [10.0]
    path.write_text(NET_DEV.format(rx=1000, tx=400))
    reader = HostReader(lambda: seconds[0], net_dev=path)
    first = reader.read()
    assert (first.cpu_percent, first.network_rx_bytes_per_second, first.disk_read_bytes_per_second) == (None,) * 3
    seconds[0] = 14.0
    path.write_text(NET_DEV.format(rx=5000, tx=800))
    second = reader.read()
    assert second.network_rx_bytes_per_second == 1000.0
    assert second.network_tx_bytes_per_second == 100.0


def test_a_card_that_came_back_at_zero_gives_no_rate(tmp_path: Path) -> None:
    path, seconds = tmp_path / "net_dev", [10.0]
    path.write_text(NET_DEV.format(rx=1000, tx=400))
    reader = HostReader(lambda: seconds[0], net_dev=path)
    reader.read()
    seconds[0] = 12.0
    path.write_text(NET_DEV.format(rx=0, tx=400))
    assert reader.read().network_rx_bytes_per_second is None


def test_this_machine_has_plausible_figures() -> None:
    found = HostReader(lambda: 0.0).read()
    assert found.cpu_count >= 1
    assert 0 < found.memory_used_bytes < found.memory_total_bytes
    assert 0 <= (found.disk_used_percent or 0.0) <= 100


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, counters(1, 5, 10), None),
        (counters(0, 5, 10), counters(1, 6, 14), 25.0),
        (counters(0, 5, 10), counters(1, 5, 10), None),
        (counters(0, 5, 10), counters(1, 9, 13), 100.0),
    ],
)
def test_processor_share_is_busy_time_over_all_time(
    before: HostCounters | None, now: HostCounters, expected: float | None
) -> None:
    assert cpu_percent(before, now) == expected


def test_partitions_and_stacked_devices_are_not_counted_twice() -> None:
    names = {"sda", "sda1", "nvme0n1", "nvme0n1p2", "mmcblk0", "mmcblk0p1", "vda", "dm-0", "md127", "loop3", "xvda1"}
    assert {name for name in names if _is_whole_disk(name, names)} == {"sda", "nvme0n1", "mmcblk0", "vda", "xvda1"}
