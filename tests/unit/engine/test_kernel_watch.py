"""The watch on the kernel's counters, on a fake tree: when it reads, what, and how it lives with restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sidecar.common.backoff import Backoff
from sidecar.engine.kernel import HostCounter, KernelWatch
from sidecar.model.signal import Counter, KernelReading
from tests.fakes.fake_tree import FakeTree, container_id
from tests.unit.engine.heard import Heard, eventually

ID, OTHER, HOUR = container_id(1), container_id(2), 3_600_000_000_000
STILL = 1_000_000_000_000


class Host:
    """A host with a tree, a count, and a watch on it; its clock stands still unless told."""

    def __init__(self, folder: Path, version: int) -> None:
        self.tree = FakeTree(folder / "cgroup", version)
        self.vmstat, self.boot_id = folder / "vmstat", folder / "boot_id"
        self.boot_id.write_text("8c1f3a52-boot\n")
        self.heard = Heard()
        self.now_ns = STILL
        self.kill(0)

    def kill(self, total: int) -> None:
        self.vmstat.write_text(f"nr_free_pages 1\nunder_oom_kill 99\noom_kill {total}\nnuma_pte_updates 0\n")

    def watch(self) -> KernelWatch:
        return KernelWatch(
            self.tree.cgroups(),
            vmstat=self.vmstat,
            boot_id=self.boot_id,
            put=self.heard.put,
            now_ns=lambda: self.now_ns,
            poll_seconds=0.005,
        )

    def readings(self) -> list[KernelReading]:
        return self.heard.of(KernelReading)


@pytest.fixture(params=[1, 2])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    return Host(tmp_path, request.param)


@pytest.fixture
def started(host: Host) -> Iterator[Callable[[], KernelWatch]]:
    with ExitStack() as running:

        def start() -> KernelWatch:
            watch = host.watch()
            running.callback(watch.stop)
            watch.start()
            return watch

        yield start


Started = Callable[[], KernelWatch]


def counts(reading: KernelReading) -> dict[str, int]:
    return {one: counter.kills for one, counter in reading.containers.items()}


def test_the_first_reading_says_where_everything_stands(host: Host, started: Started) -> None:
    host.tree.group(f"docker/{ID}", 2)
    host.tree.group("system.slice/cron.service", 1)
    host.kill(7)
    started().track(ID)
    reading = host.heard.wait_for(KernelReading)[0]
    assert (reading.host_kills, counts(reading), reading.complete) == (7, {ID: 2}, True)
    assert reading.elsewhere == {"/": 0, "system.slice/cron.service": 1}
    assert (reading.boot_id, reading.at_ns) == ("8c1f3a52-boot", STILL)


def test_a_kill_is_read_at_once_and_once_more_a_poll_later(host: Host, started: Started) -> None:
    host.tree.group(f"docker/{ID}")
    started().track(ID)
    before = len(host.heard.wait_for(KernelReading, 2))  # the first reading is a change, too
    host.tree.set_kills(f"docker/{ID}", 1)
    host.kill(1)
    first, second = host.heard.wait_for(KernelReading, before + 2)[before : before + 2]
    assert counts(first) == counts(second) == {ID: 1}
    assert (first.host_kills, second.host_kills) == (1, 1)


def test_nothing_is_read_while_nothing_happens_and_no_second_has_passed(
    host: Host, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    started()
    host.heard.wait_for(KernelReading, 2)
    polls: list[int] = []

    def counted(_: HostCounter) -> int | None:
        polls.append(1)
        return 0

    monkeypatch.setattr(HostCounter, "kills", counted)
    eventually(lambda: len(polls) > 5)
    assert len(host.readings()) == 2


@pytest.mark.parametrize("step_ns", [1_000_000_000, -HOUR])
def test_each_second_brings_a_complete_reading_and_a_clock_set_back_does_not_stop_that(
    host: Host, started: Started, step_ns: int
) -> None:
    started()
    host.heard.wait_for(KernelReading, 2)
    host.now_ns += step_ns
    reading = host.heard.wait_for(KernelReading, 3)[2]
    assert reading.complete
    assert reading.elsewhere == {}  # the host's count has not moved: not looked


def test_a_restart_makes_another_cgroup_with_a_count_of_its_own(host: Host, started: Started) -> None:
    host.tree.group(f"docker/{ID}", 3)
    watch = started()
    watch.track(ID)
    old = host.heard.wait_for(KernelReading)[-1].containers[ID]
    host.tree.remove(f"docker/{ID}")
    group = host.tree.group(f"docker/{ID}", 0)
    reading = watch.read(ID)
    assert reading is not None
    name = "memory.oom_control" if host.tree.version == 1 else "memory.events"
    assert reading.containers == {ID: Counter((group / name).stat().st_ino, 0)}
    assert old.kills == 3


def test_one_container_is_read_when_asked(host: Host, started: Started) -> None:
    host.tree.group(f"docker/{ID}", 3)
    host.tree.group(f"docker/{OTHER}", 4)
    watch = started()
    watch.track(ID)
    reading = watch.read(ID)
    assert reading is not None
    assert (counts(reading), reading.complete, reading.host_kills) == ({ID: 3}, False, 0)


def test_a_container_without_a_cgroup_cannot_be_read(started: Started) -> None:
    watch = started()
    watch.track(ID)
    assert watch.read(ID) is None


def test_a_container_in_an_unusual_place_is_found_by_the_next_reading(host: Host, started: Started) -> None:
    host.tree.group(f"ci/jobs/{ID}", 6)
    watch = started()
    watch.track(ID)
    host.now_ns += 60_000_000_000
    eventually(lambda: any(counts(reading) == {ID: 6} for reading in host.readings()))


def test_a_container_nobody_has_told_of_yet_is_read_where_the_others_are(host: Host, started: Started) -> None:
    host.tree.group(f"docker/{ID}", 2)
    started()
    assert counts(host.heard.wait_for(KernelReading)[0]) == {ID: 2}


def test_a_container_that_is_forgotten_and_gone_is_left_out(host: Host, started: Started) -> None:
    host.tree.group(f"docker/{ID}", 2)
    watch = started()
    watch.track(ID)
    seen = len(host.heard.wait_for(KernelReading, 2))
    host.tree.remove(f"docker/{ID}")
    watch.forget(ID)
    host.kill(1)
    assert counts(host.heard.wait_for(KernelReading, seen + 1)[seen]) == {}


def test_a_host_that_does_not_say_its_count_is_still_read_each_second(host: Host, started: Started) -> None:
    host.vmstat.write_text("nr_free_pages 1\n")
    host.tree.group(f"docker/{ID}", 2)
    started().track(ID)
    host.now_ns += 1
    reading = host.heard.wait_for(KernelReading)[0]
    assert (reading.host_kills, counts(reading)) == (None, {ID: 2})


def test_a_failure_in_the_watch_does_not_end_it(host: Host, started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.common.repeated.Backoff", lambda: Backoff(first_seconds=0.01))
    failed: list[int] = []

    def fails_once(_: HostCounter) -> int | None:
        if not failed:
            failed.append(1)
            raise RuntimeError("odd")
        return 5

    monkeypatch.setattr(HostCounter, "kills", fails_once)
    started()
    assert host.heard.wait_for(KernelReading)[0].host_kills == 5
    assert failed


def test_no_file_stays_open_after_the_end(host: Host) -> None:
    host.tree.group(f"docker/{ID}")
    before = len(list(Path("/proc/self/fd").iterdir()))
    watch = host.watch()
    watch.start()
    watch.track(ID)
    host.heard.wait_for(KernelReading)
    watch.stop()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
