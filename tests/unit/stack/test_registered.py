from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecar.commands import up
from sidecar.common.errors import StackError
from sidecar.locust_api.client import LocustApi, master_url
from sidecar.settings import load
from sidecar.stack.registered import WorkerWait
from tests.fakes.fake_engine import FakeEngine, container
from tests.ports import free_port

if TYPE_CHECKING:
    import io

    from sidecar.common.console import Console
    from sidecar.engine.docker_engine import DockerEngine
    from tests.fakes.fake_master import FakeMaster
    from tests.fakes.fake_time import FakeTime


@pytest.fixture
def web(master: FakeMaster) -> LocustApi:
    return LocustApi(master_url(master.port, {}))


def test_registered_workers_end_the_wait(
    web: LocustApi, engine: DockerEngine, say: Console, fake_time: FakeTime
) -> None:
    assert WorkerWait(engine, "locust", say, fake_time.clock()).registered(web, 2) == "2 workers registered"
    assert fake_time.seconds == 0


def test_running_containers_are_not_enough(
    master: FakeMaster, web: LocustApi, engine: DockerEngine, say: Console, fake_time: FakeTime, fake_engine: FakeEngine
) -> None:
    master.worker_count = 1
    fake_engine.answers["/containers/json"] = [container("locust-worker"), container("locust-master")]
    with pytest.raises(StackError, match=r"1 of 2 workers registered at the master within 90 s"):
        WorkerWait(engine, "locust", say, fake_time.clock()).registered(web, 2)
    assert 90 <= fake_time.seconds < 91


def test_more_workers_than_wanted_are_waited_out(
    master: FakeMaster, web: LocustApi, engine: DockerEngine, say: Console, fake_time: FakeTime
) -> None:
    master.worker_count = 3
    with pytest.raises(StackError, match=r"3 of 2"):
        WorkerWait(engine, "locust", say, fake_time.clock(), 5).registered(web, 2)


def test_workers_of_other_machines_may_be_among_them(
    master: FakeMaster, web: LocustApi, engine: DockerEngine, say: Console, fake_time: FakeTime
) -> None:
    master.worker_count = 3
    assert (
        WorkerWait(engine, "locust", say, fake_time.clock(), 5).registered(web, 2, others=True)
        == "2 workers registered"
    )


def test_a_login_is_answered_by_counting_healthy_containers(
    master: FakeMaster, web: LocustApi, engine: DockerEngine, say: Console, fake_time: FakeTime, fake_engine: FakeEngine
) -> None:
    master.guarded = True
    healthy = container("locust-worker", status="Up 5 seconds (healthy)")
    fake_engine.answers["/containers/json"] = [
        healthy,
        healthy,
        container("locust-worker", status="Up (health: starting)"),
    ]
    assert "2 workers healthy" in WorkerWait(engine, "locust", say, fake_time.clock()).registered(web, 2)


def test_a_container_that_cannot_live_is_told_early_with_its_last_words(
    master: FakeMaster,
    web: LocustApi,
    engine: DockerEngine,
    say: Console,
    fake_time: FakeTime,
    fake_engine: FakeEngine,
    out: io.StringIO,
) -> None:
    master.worker_count = 0
    fake_engine.answers |= {
        "/containers/json": [
            container("locust-worker", state="restarting"),
            container("locust-master", state="exited"),
        ],
        "/containers/locust-locust-master-id/json": {"State": {"ExitCode": 137, "OOMKilled": True}},
        "/containers/locust-locust-master-id/logs": b"last words\n",
    }
    with pytest.raises(
        StackError, match=r"locust-locust-master-1 keeps exiting.*exit code was 137, killed for lack of memory"
    ):
        WorkerWait(engine, "locust", say, fake_time.clock()).registered(web, 2)
    assert "locust-locust-master-1 | last words" in out.getvalue()
    assert fake_time.seconds < 15


def test_a_page_that_never_answers_is_told(
    engine: DockerEngine, web: LocustApi, master: FakeMaster, say: Console, fake_time: FakeTime
) -> None:
    master.close()
    with pytest.raises(StackError, match=r"web page did not answer within 3 s"):
        WorkerWait(engine, "locust", say, fake_time.clock(), 3).registered(web, 2)


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        ((), r"→ make logs"),
        (("TARGET_NETWORK=shop",), r"→ TARGET_NETWORK_MASTER=1 if the locustfile asks .*; else make logs"),
        (("TARGET_NETWORK=shop", "TARGET_NETWORK_MASTER=1"), r"→ make logs"),
    ],
)
def test_a_master_outside_the_targets_network_that_does_not_start_is_told_of_the_setting(
    words: tuple[str, ...], fix: str, engine: DockerEngine, say: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "WorkerWait", partial(WorkerWait, deadline_seconds=0.0))
    settings = load([*words, f"WEB_PORT={free_port()}"], {}, Path("/nowhere"))
    with pytest.raises(StackError, match=f"did not answer within 0 s {fix}"):
        up.wait_for_workers(settings, engine, 2, say)


def test_a_worker_whose_container_was_replaced_is_not_counted(
    master: FakeMaster, web: LocustApi, engine: DockerEngine, say: Console, fake_time: FakeTime, fake_engine: FakeEngine
) -> None:
    new = container("locust-worker") | {"Id": "b" * 64}
    fake_engine.answers["/containers/json"] = [new]
    gone, here = "a" * 12 + "_1", "b" * 12 + "_2"
    master.status = {"schema_version": 1, "workers_connected": [gone]}
    with pytest.raises(StackError, match=r"0 of 1"):
        WorkerWait(engine, "locust", say, fake_time.clock(), 5).registered(web, 1)
    master.status = {"schema_version": 1, "workers_connected": [gone, here]}
    assert WorkerWait(engine, "locust", say, fake_time.clock()).registered(web, 1) == "1 worker registered"
