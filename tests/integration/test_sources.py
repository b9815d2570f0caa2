"""The watching sources on the real engine and the real kernel: real kills counted, real gaps said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from sidecar.engine.cgroups import Cgroups
from sidecar.engine.container_reader import ContainerReader, monitor_engine
from sidecar.engine.docker_engine import DockerEngine
from sidecar.engine.events import EventStream
from sidecar.engine.kernel import KernelWatch
from sidecar.model.signal import DockerEvent, KernelReading, Signal, StreamDown, StreamUp
from tests.integration._containers import ENGINE_SOCKET, container, engine_absent, need_image, run_docker, wait_until
from tests.integration._proxy import proxy

pytestmark = [
    pytest.mark.kills,
    pytest.mark.skipif(bool(engine_absent()), reason=engine_absent() or "an engine is here"),
]

IMAGE = "locust-kit/monitor:local"
CALM = ("--network", "none", "--no-healthcheck")
SMALL = (*CALM, "--memory", "64m", "--memory-swap", "64m", "--entrypoint", "python3")
KILLS, AT_ONCE = 16, 4
# Children that fight over the memory; the parent tells how many the kernel killed, and lives on.
FIGHT = f"""
import os, time
left, live, lost = {KILLS}, set(), 0
while left or live:
    while left and len(live) < {AT_ONCE}:
        child = os.fork()
        if child == 0:
            hoard = []
            while True:
                hoard.append(bytearray(1 << 20))
        live.add(child)
        left -= 1
    child, status = os.wait()
    live.discard(child)
    lost += os.WIFSIGNALED(status) and os.WTERMSIG(status) == 9
print(lost, flush=True)
time.sleep(600)
"""
HOARD = "import time; time.sleep(1)\nhoard = []\nwhile True: hoard.append(bytearray(1 << 20))"


@contextmanager
def kernel_watch(put: Callable[[Signal], None]) -> Iterator[KernelWatch]:
    watch = KernelWatch(
        Cgroups(Path("/sys/fs/cgroup")),
        vmstat=Path("/proc/vmstat"),
        boot_id=Path("/proc/sys/kernel/random/boot_id"),
        put=put,
        now_ns=time.time_ns,
    )
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


@contextmanager
def event_stream(
    put: Callable[[Signal], None], socket_path: Path | str = ENGINE_SOCKET, since_ns: int | None = None
) -> Iterator[EventStream]:
    with closing(monitor_engine(f"unix://{socket_path}")) as engine:
        stream = EventStream(engine, since_ns=since_ns, put=put, now_ns=time.time_ns)
        stream.start()
        try:
            yield stream
        finally:
            stream.stop()


def of(heard: list[Signal], container_id: str) -> list[str]:
    return [
        signal.action for signal in heard if isinstance(signal, DockerEvent) and signal.container_id == container_id
    ]


def count(heard: list[Signal], container_id: str) -> int:
    readings = [signal for signal in heard if isinstance(signal, KernelReading) and container_id in signal.containers]
    return readings[-1].containers[container_id].kills if readings else 0


def test_sixteen_kills_among_four_fighting_children_are_sixteen() -> None:
    heard: list[Signal] = []
    with kernel_watch(heard.append) as watch, container(need_image(IMAGE), *SMALL, command=("-c", FIGHT)) as victim:
        watch.track(victim)
        wait_until(lambda: run_docker("logs", victim) != "", "the parent counts its losses")
        told = int(run_docker("logs", victim))
        wait_until(lambda: count(heard, victim) >= told, "the kernel's counter is read")
        reading = watch.read(victim)
    assert reading is not None
    assert reading.containers[victim].kills == count(heard, victim) == told == KILLS


def test_an_oom_kill_of_a_main_process_is_told_by_event_host_and_inspect() -> None:
    heard: list[Signal] = []
    with kernel_watch(heard.append), event_stream(heard.append):
        wait_until(lambda: any(isinstance(one, StreamUp) for one in heard), "the stream is up")
        wait_until(lambda: any(isinstance(one, KernelReading) for one in heard), "the kernel is read")
        with container(need_image(IMAGE), *SMALL, command=("-c", HOARD)) as victim:
            wait_until(lambda: "die" in of(heard, victim), "the death is told")
            with closing(ContainerReader(monitor_engine(f"unix://{ENGINE_SOCKET}"), "none")) as engine:
                inspected = engine.inspect(victim)
                found = inspected.inspection if inspected else None
            wait_until(lambda: "oom" in of(heard, victim), "the engine tells of the kill")
    host = [one.host_kills for one in heard if isinstance(one, KernelReading) and one.host_kills is not None]
    assert host[-1] > host[0]
    assert found is not None
    assert (found.state, found.exit_code, found.oom_killed) == ("exited", 137, True)
    assert found.memory_limit_bytes == 64 << 20


def test_what_happens_while_the_proxy_restarts_is_not_lost() -> None:
    heard: list[Signal] = []
    with (
        container(need_image(IMAGE), *CALM, "--entrypoint", "sleep", command=("600",)) as bystander,
        proxy("0:0", "--no-healthcheck") as door,
        event_stream(heard.append, door.socket_path),
    ):
        wait_until(lambda: any(isinstance(one, StreamUp) for one in heard), "the stream is up")
        run_docker("stop", "--time", "1", door.container_id)
        run_docker("pause", bystander)
        run_docker("unpause", bystander)
        wait_until(lambda: any(isinstance(one, StreamDown) for one in heard), "the gap is told")
        run_docker("start", door.container_id)
        wait_until(lambda: "unpause" in of(heard, bystander), "what happened in the gap is told")
    assert of(heard, bystander).count("pause") == 1
    assert [one.covered for one in heard if isinstance(one, StreamUp)] == [True, True]


def test_a_gap_longer_than_the_engines_memory_is_said_not_to_be_covered() -> None:
    with container(need_image(IMAGE), *CALM, "--entrypoint", "sleep", command=("600",)) as busy:
        known_ns = time.time_ns()
        near: list[Signal] = []
        with event_stream(near.append, since_ns=known_ns):
            wait_until(lambda: any(isinstance(one, StreamUp) for one in near), "the stream is up")
        _make_exec_events(busy, 256)
        far: list[Signal] = []
        with event_stream(far.append, since_ns=known_ns):
            wait_until(lambda: any(isinstance(one, StreamUp) for one in far), "the stream is up")
    assert [one.covered for one in near + far if isinstance(one, StreamUp)] == [True, False]


def _make_exec_events(container_id: str, number: int) -> None:
    """Let the engine write that many events of a kind that nobody follows."""
    with closing(DockerEngine(Path(ENGINE_SOCKET), 30)) as engine:
        for _ in range(number):
            engine.ask("exec", lambda api: api.exec_create(container_id, ["true"]))
