"""What a manager of a Swarm says, read; and the images' way to the nodes. The real thing: tests/swarm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.common.errors import SettingError, StackError
from sidecar.engine.docker_engine import DockerEngine
from sidecar.engine.swarm_manager import Manager, spread
from sidecar.model.snapshot import MASTER, WORKER
from sidecar.settings import Settings, load
from sidecar.stack import deployment, secrets, state
from sidecar.stack.compose import Decided
from sidecar.swarm import images, stack, waiting
from sidecar.swarm.images import Way
from sidecar.swarm.stack import Content
from sidecar.swarm.up import _check_room, _refuse_what_a_cluster_cannot
from tests.fakes.fake_engine import FakeEngine

GIB = 1 << 30
IMAGE = "locust-kit/locust:aaaaaaaaaaaa"


def node(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "ID": f"id{number}",
        "Spec": {"Role": "worker", "Availability": "active"},
        "Description": {
            "Hostname": f"node{number}",
            "Resources": {"NanoCPUs": 2_000_000_000, "MemoryBytes": 8 * GIB},
            "Engine": {"EngineVersion": "26.1.5"},
        },
        "Status": {"State": "ready", "Addr": f"10.9.0.{number}"},
        **changes,
    }


def service(name: str, number: int, replicas: int | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "ID": f"s{number}",
        "Spec": {
            "Name": f"locust_{name}",
            "Mode": {"Global": {}} if replicas is None else {"Replicated": {"Replicas": replicas}},
            "TaskTemplate": {
                "ContainerSpec": {"Image": IMAGE},
                "Resources": {"Limits": {"MemoryBytes": 2 * GIB}, "Reservations": {"MemoryBytes": GIB}},
            },
        },
        **changes,
    }


def task(service_id: str, slot: int, place: int, **status: Any) -> dict[str, Any]:
    return {
        "ID": f"t{service_id}{slot}",
        "ServiceID": service_id,
        "Slot": slot,
        "NodeID": f"id{place}",
        "DesiredState": "running",
        "Spec": {"ContainerSpec": {"Image": IMAGE}, "Networks": []},
        "Status": {
            "Timestamp": "2026-11-27T13:40:00.123456789Z",
            "State": "running",
            "ContainerStatus": {"ContainerID": "c" * 64, "ExitCode": 0},
            **status,
        },
    }


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeEngine]:
    engine = FakeEngine(tmp_path / "docker.sock")
    engine.answers |= {
        "/info": {"Swarm": {"LocalNodeState": "active", "ControlAvailable": True, "NodeID": "id1"}},
        "/nodes": [
            node(2),
            node(1, Status={"State": "ready", "Addr": "0.0.0.0"}, ManagerStatus={"Addr": "10.9.0.1:2377"}),
        ],
        "/services": [service(MASTER, 1, 1), service(WORKER, 2, 2), service("monitor", 3)],
        "/tasks": [
            task("s1", 1, 1),
            task("s2", 1, 2),
            task("s2", 2, 2, State="rejected", Err="No such image: x"),
            task("other", 1, 1),
        ],
    }
    yield engine
    engine.close()


@pytest.fixture
def manager(fake: FakeEngine) -> Manager:
    return Manager(DockerEngine(fake.path))


def test_nodes_services_and_tasks_are_read(manager: Manager, fake: FakeEngine) -> None:
    fleet = manager.fleet("locust")
    assert [(one.name, one.address, one.memory_bytes, one.cpus, one.takes_tasks) for one in fleet.nodes] == [
        ("node1", "10.9.0.1", 8 * GIB, 2.0, True),
        ("node2", "10.9.0.2", 8 * GIB, 2.0, True),
    ]
    assert [(one.name, one.replicas, one.reserved_bytes, one.limit_bytes) for one in fleet.services] == [
        (MASTER, 1, GIB, 2 * GIB),
        (WORKER, 2, GIB, 2 * GIB),
        ("monitor", None, GIB, 2 * GIB),
    ]
    assert [(one.service, one.slot, one.state, one.error) for one in fleet.tasks] == [
        (MASTER, 1, "running", ""),
        (WORKER, 1, "running", ""),
        (WORKER, 2, "rejected", "No such image: x"),
    ]
    home = fleet.home(MASTER)
    assert home is not None
    assert (home.name, spread(fleet, WORKER)) == ("node1", [("node2", 1)])
    assert any("com.docker.stack.namespace=locust" in str(query) for query in fake.queries)


@pytest.mark.parametrize(
    ("swarm", "line"),
    [
        ({"LocalNodeState": "inactive"}, "this Docker engine is in no Swarm .it is inactive.*docker swarm init"),
        (
            {"LocalNodeState": "active", "ControlAvailable": False, "RemoteManagers": [{"Addr": "10.9.0.1:2377"}]},
            r"is a worker of the Swarm; expected: a manager .*10\.9\.0\.1:2377",
        ),
    ],
    ids=["no swarm", "a worker"],
)
def test_an_engine_that_is_no_manager_is_refused(manager: Manager, fake: FakeEngine, swarm: Any, line: str) -> None:
    fake.answers["/info"] = {"Swarm": swarm}
    with pytest.raises(StackError, match=line):
        manager.check()


def settings(tmp_path: Path, *words: str) -> Settings:
    return load(list(words), {}, tmp_path)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["WORKER_MEMORY=9G", "WORKER_MEMORY_RESERVATION=9G"],
            r"is 9\.0 GiB; expected: at most the 8\.0 GiB of the largest node",
        ),
        (["WORKERS=17"], "17 workers do not fit on 2 nodes with 1.00 GiB reserved for each; expected: at most 16"),
        (["SWARM_MASTER_NODE=node9"], "SWARM_MASTER_NODE is 'node9'; expected: one of node1, node2"),
    ],
)
def test_what_fits_on_no_node_is_refused_before_anything_is_deployed(
    manager: Manager, tmp_path: Path, words: list[str], line: str
) -> None:
    with pytest.raises(SettingError, match=line):
        _check_room(settings(tmp_path, *words), manager.fleet("locust"))


def test_sixteen_workers_of_one_gib_fit(manager: Manager, tmp_path: Path) -> None:
    _check_room(settings(tmp_path, "WORKERS=16"), manager.fleet("locust"))


@pytest.mark.parametrize("word", ["TARGET_NETWORK=shop_default", "WATCH_PROJECT=shop", "REMOTE_WORKERS=0.0.0.0"])
def test_settings_of_one_machine_are_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(SettingError, match="it names something on one machine"):
        _refuse_what_a_cluster_cannot(settings(tmp_path, word))


def test_a_way_to_a_node_is_a_context_or_a_host() -> None:
    assert Way("second").flags == ["--context", "second"]
    assert Way("ssh://me@second").flags == ["--host", "ssh://me@second"]


def test_while_an_update_goes_on_nothing_is_counted(manager: Manager) -> None:
    fleet = manager.fleet("locust")
    assert not waiting.is_moving(fleet)
    of_before = replace(fleet.tasks[1], made_of="another")
    assert waiting.is_moving(replace(fleet, tasks=(fleet.tasks[0], of_before)))
    busy = replace(fleet.services[1], update="updating")
    assert waiting.is_moving(replace(fleet, services=(fleet.services[0], busy)))
    assert waiting.is_moving(replace(fleet, tasks=()))


def test_a_stack_on_a_swarm_is_no_matter_for_the_commands_of_one_machine(tmp_path: Path) -> None:
    given = settings(tmp_path, "PROJECT=shop")
    deployment.refuse(given, "make swarm-down")
    state.write(state.path_of(tmp_path, "shop"), {"swarm": {"images": {}}})
    with pytest.raises(StackError, match="the stack 'shop' runs on a Swarm → make swarm-down PROJECT=shop"):
        deployment.refuse(given, "make swarm-down")


def test_the_stack_is_told_everything_that_compose_is_and_what_is_the_clusters_own(tmp_path: Path) -> None:
    given = settings(tmp_path, "PROJECT=shop", "WORKERS=40", "SWARM_MASTER_NODE=node2", "ALERT_URLS=json://a.example")
    secrets.write(given)
    content = Content({"locust": IMAGE, "docker-proxy": "p:1"}, tmp_path / "files.tar.gz", "abc")
    env = stack.environment(given, Decided(mock=True), content, {})
    assert (env["WORKERS"], env["KIT_IMAGE_LOCUST"], env["KIT_IMAGE_DOCKER_PROXY"]) == ("40", IMAGE, "p:1")
    assert (env["KIT_FILES_MARK"], env["KIT_MOCK_REPLICAS"]) == ("abc", "1")
    assert env["KIT_MASTER_CONSTRAINT"] == "node.hostname == node2"
    token = Path(env["KIT_CLUSTER_TOKEN_FILE"])
    assert len(token.read_text()) >= 32
    assert token.parent.stat().st_mode & 0o077 == 0
    assert stack.environment(given, Decided(), content, {})["KIT_TOKEN_MARK"] == env["KIT_TOKEN_MARK"]
    assert Path(env["KIT_ALERT_URLS_FILE"]).read_text() == "json://a.example"
    assert Path(env["KIT_PUSH_KEY_FILE"]).read_text() == "\n"  # Swarm takes no secret that is empty
    assert env["KIT_PUSH_KEY_MARK"] == "none"


def test_what_docker_stack_cannot_read_from_a_file_is_refused(tmp_path: Path) -> None:
    given = replace(settings(tmp_path), passthrough={"LOCUST_X": "two\nlines"})
    with pytest.raises(SettingError, match="LOCUST_X has more than one line"):
        stack.environment(given, Decided(), Content({}, tmp_path, ""), {})


@pytest.mark.parametrize(
    ("hangs", "text"),
    [
        ("image", "docker image inspect shop:1 at ssh://b took more than 0 s"),
        ("load", "ssh://b did not load the images within 0 s"),
        ("info", "docker info at ssh://b (SWARM_NODES) took more than 0 s"),
    ],
)
def test_an_engine_that_does_not_answer_in_time_is_named(
    hangs: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\ncase "$*" in *{hangs}*) exec sleep 60;; *image*) exit 1;; esac\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(images, "_ASK_SECONDS", 0.3 if hangs != "load" else 20.0)
    monkeypatch.setattr(images, "_CARRY_SECONDS", 0.3)
    given = load(["SWARM_NODES=ssh://b"], {}, tmp_path)
    with pytest.raises(StackError) as caught:
        images.ways_to(given, (), "") if hangs == "info" else images.carry(["shop:1"], {"b": Way("ssh://b")})
    assert caught.value.what == text
