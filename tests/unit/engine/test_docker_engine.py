"""The adapter on a real unix socket, with a pretend engine behind it."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.common.errors import EngineError
from sidecar.engine.container_reader import ContainerReader, monitor_engine
from sidecar.engine.labels import PROJECT_LABEL
from sidecar.engine.log_lines import log_entries
from tests.fakes.pretend_engine import MASTER_ID, WORKER_ID, PretendEngine


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect here whatever was left open, so that its warning fails the test that left it."""
    yield
    gc.collect()


def reader(url: str, project: str, watch_project: str = "") -> ContainerReader:
    return ContainerReader(monitor_engine(url, seconds=1), project, watch_project=watch_project)


@pytest.fixture
def engine(engine_server: PretendEngine) -> Iterator[ContainerReader]:
    with closing(reader(engine_server.url, "locust")) as made:
        yield made


def test_only_the_projects_containers_are_listed_in_one_request(
    engine: ContainerReader, engine_server: PretendEngine
) -> None:
    assert [(container.service, container.health) for container in engine.containers()] == [
        ("locust-master", "healthy"),
        ("locust-worker", "healthy"),
    ]
    assert engine_server.asked == {"version": 1, "json": 1}


def test_a_watched_projects_containers_are_listed_too_each_with_its_project(engine_server: PretendEngine) -> None:
    with closing(reader(engine_server.url, "locust", watch_project="shop")) as engine:
        assert [(container.project, container.service, container.image) for container in engine.containers()] == [
            ("locust", "locust-master", "locust-master:1"),
            ("locust", "locust-worker", "locust-worker:1"),
            ("shop", "web", "web:1"),
        ]
    assert engine_server.asked == {"version": 1, "json": 2}


def test_a_container_with_the_projects_label_from_its_image_alone_is_not_watched(
    engine: ContainerReader, engine_server: PretendEngine
) -> None:
    row = {
        "Id": "a" * 64,
        "Names": ["/filler"],
        "State": "running",
        "Status": "Up",
        "Labels": {PROJECT_LABEL: "locust"},
    }
    engine_server.listed = [row]
    assert engine.containers() == []


def test_a_list_that_is_none_is_told(engine: ContainerReader, engine_server: PretendEngine) -> None:
    for odd in ({"message": "odd"}, [1, 2]):
        engine_server.listed = odd
        with pytest.raises(EngineError, match="expected: a list of objects"):
            engine.containers()


def test_another_project_has_no_containers(engine_server: PretendEngine) -> None:
    with closing(reader(engine_server.url, "other")) as engine:
        assert list(engine.containers()) == []


def test_stats_are_read_one_shot_and_the_version_is_asked_once(
    engine: ContainerReader, engine_server: PretendEngine
) -> None:
    readings = [engine.stats(WORKER_ID) for _ in range(3)]
    assert all(reading is not None and reading.memory_limit_bytes == 201326592 for reading in readings)
    assert engine_server.asked == {"version": 1, "stats": 3}


def test_inspect_is_read(engine: ContainerReader) -> None:
    found = engine.inspect(MASTER_ID)
    assert found is not None
    assert found.memory_limit_bytes == 201326592


def test_the_end_of_a_log_is_read(engine_server: PretendEngine) -> None:
    with closing(monitor_engine(engine_server.url)) as engine:
        (entry,) = log_entries(engine.log(MASTER_ID, 5, timestamps=True), tty=False)
    assert entry.text.endswith("locust.main: Starting")


def test_a_container_that_is_gone_is_no_error(engine: ContainerReader, engine_server: PretendEngine) -> None:
    engine_server.gone = True
    assert engine.inspect(WORKER_ID) is None
    assert engine.stats(WORKER_ID) is None
    with closing(monitor_engine(engine_server.url)) as whole:
        assert whole.logs(WORKER_ID, 5) == ()


def test_an_engine_error_says_status_and_reason(engine: ContainerReader, engine_server: PretendEngine) -> None:
    engine.containers()
    engine_server.broken = True
    with pytest.raises(EngineError, match=r"status 500.*it burns"):
        engine.containers()
    with pytest.raises(EngineError, match=r"500.*it burns"):
        engine.stats(WORKER_ID)


def test_no_engine_at_all_is_told_with_the_socket(tmp_path: Path) -> None:
    engine = reader(f"unix://{tmp_path}/none.sock", "locust")
    with pytest.raises(EngineError, match=r"Docker does not answer: No such file or directory.*none\.sock"):
        engine.containers()
    with pytest.raises(EngineError, match="Docker does not answer"):
        engine.stats(WORKER_ID)


def test_an_engine_that_accepts_and_says_nothing_ends_in_a_time_out(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(EngineError, match="Docker does not answer"):
            reader(f"unix://{path}", "locust").containers()


def test_it_answers_again_after_the_engine_came_back(engine: ContainerReader, engine_server: PretendEngine) -> None:
    assert engine.stats(WORKER_ID) is not None
    engine_server.close()
    with pytest.raises(EngineError):
        engine.stats(WORKER_ID)
    with pytest.raises(EngineError):
        engine.containers()
    again = PretendEngine(engine_server.path)
    assert engine.stats(WORKER_ID) is not None
    assert len(engine.containers()) == 2
    again.close()
    engine_server.path.touch()


def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure(
    engine: ContainerReader, engine_server: PretendEngine
) -> None:
    for _ in range(2):
        assert engine.stats(WORKER_ID) is not None
        assert len(engine.containers()) == 2
        engine_server.hang_up()


def test_several_threads_may_read_at_once(engine: ContainerReader) -> None:
    barrier = threading.Barrier(4)

    def read(_: int) -> bool:
        barrier.wait(5)
        return all(engine.stats(WORKER_ID) and engine.inspect(WORKER_ID) for _ in range(10))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == [True] * 4


def test_a_tcp_address_is_refused_at_once() -> None:
    with pytest.raises(EngineError, match="expected: a unix socket"):
        monitor_engine("tcp://127.0.0.1:2375")
