from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path

import pytest

from sidecar.common.errors import EngineError
from sidecar.engine import docker_engine as docker
from sidecar.engine.docker_engine import DockerEngine, EngineAbsentError
from sidecar.engine.transport import OpenSockets
from tests.fakes.fake_engine import FakeEngine, container


def test_an_engine_that_is_new_enough_is_taken(fake_engine: FakeEngine) -> None:
    assert docker.connect({"DOCKER_HOST": f"unix://{fake_engine.path}"}).version() == "28.5.1"


@pytest.mark.parametrize("version", ["24.0.9", "20.10.24+dfsg1", "19.03"])
def test_an_engine_too_old_is_refused_with_the_version_wanted(
    version: str, fake_engine: FakeEngine, engine: DockerEngine
) -> None:
    fake_engine.answers["/version"] = {"Version": version}
    with pytest.raises(EngineError, match=rf"Docker Engine is {version[:5]}.*expected: 25 or newer"):
        engine.version()


def test_no_docker_at_all_leads_to_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(EngineAbsentError, match=r"Docker is not installed → run `make setup`"):
        docker.connect({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})


def test_an_engine_that_does_not_run_leads_to_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(dead))
    with pytest.raises(EngineAbsentError, match=r"engine is not running.*make setup"):
        docker.connect({"DOCKER_HOST": f"unix://{dead}"})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every socket")
def test_a_socket_that_may_not_be_opened_names_the_group(fake_engine: FakeEngine, engine: DockerEngine) -> None:
    fake_engine.path.chmod(0)
    with pytest.raises(EngineError, match=r"may not use Docker.*usermod -aG docker"):
        engine.version()


def test_a_refused_socket_names_the_group(monkeypatch: pytest.MonkeyPatch, engine: DockerEngine) -> None:
    def refuse(_self: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(OpenSockets, "connect", refuse)
    with pytest.raises(EngineError, match=r"may not use Docker.*usermod -aG docker") as caught:
        engine.version()
    assert not isinstance(caught.value, EngineAbsentError), "set-up cannot mend that"


def test_an_engine_that_does_not_answer_is_told(tmp_path: Path) -> None:
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(EngineError, match=r"Docker does not answer"):
            DockerEngine(path, 0.2).version()


def test_a_container_that_only_inherits_its_images_labels_is_nobodys(
    fake_engine: FakeEngine, engine: DockerEngine
) -> None:
    inherited = container("docker-proxy")
    del inherited["Labels"]["com.docker.compose.container-number"]
    fake_engine.answers["/containers/json"] = [container("locust-master"), inherited]
    assert [one.service for one in engine.containers("locust")] == ["locust-master"]
    assert [one.project for one in engine.containers()] == ["locust", ""]


def test_our_own_helpers_are_one_offs(fake_engine: FakeEngine, engine: DockerEngine) -> None:
    fake_engine.answers["/containers/json"] = [container("locust-worker", labels={"io.locust-kit.role": "try"})]
    assert engine.containers()[0].oneoff


def test_what_the_engine_does_not_know_is_none(engine: DockerEngine) -> None:
    assert engine.image("nothing:here") is None
    assert engine.inspect("nothing") is None


def test_log_lines_lose_their_stream_headers(fake_engine: FakeEngine, engine: DockerEngine) -> None:
    pieces = [(1, b"one\n"), (2, b"two\n")]
    fake_engine.answers["/containers/x/logs"] = b"".join(
        bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text for stream, text in pieces
    )
    assert engine.logs("x", 10) == ("one", "two")
    fake_engine.answers["/containers/x/logs"] = b"from a terminal\n"
    assert engine.logs("x", 10) == ("from a terminal",)


def test_an_act_that_fails_is_told(fake_engine: FakeEngine, engine: DockerEngine) -> None:
    fake_engine.answers["/containers/x/restart"] = {}
    engine.restart("x", 5)
    fake_engine.answers["/containers/x/restart"] = 500
    with pytest.raises(EngineError, match=r"could not restart x: no"):
        engine.restart("x", 5)


def test_the_socket_is_where_the_docker_command_looks(tmp_path: Path) -> None:
    assert docker.find_socket({"HOME": str(tmp_path)}) == Path("/var/run/docker.sock")
    assert docker.find_socket({"DOCKER_HOST": "unix:///run/x.sock", "HOME": str(tmp_path)}) == Path("/run/x.sock")
    meta = tmp_path / ".docker" / "contexts" / "meta" / hashlib.sha256(b"desktop").hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": "unix:///home/me/desktop.sock"}}}))
    (tmp_path / ".docker" / "config.json").write_text('{"currentContext": "desktop"}')
    assert docker.find_socket({"HOME": str(tmp_path)}) == Path("/home/me/desktop.sock")
    assert docker.find_socket({"HOME": str(tmp_path), "DOCKER_CONTEXT": "default"}) == Path("/var/run/docker.sock")


@pytest.mark.parametrize("host", ["tcp://10.0.0.1:2375", "ssh://me@host"])
def test_an_engine_elsewhere_is_refused(host: str) -> None:
    with pytest.raises(EngineError, match=r"an engine on this machine"):
        docker.find_socket({"DOCKER_HOST": host})


def test_replaced_images_are_let_go_by_our_label_alone(engine: DockerEngine, fake_engine: FakeEngine) -> None:
    fake_engine.answers["/images/prune"] = {}
    engine.remove_replaced_images()
    assert fake_engine.asked[-1].startswith("POST ")
    filters = json.loads(fake_engine.queries[-1]["filters"][0])
    assert filters == {"dangling": ["true"], "label": ["io.locust-kit.inputs"]}


def test_an_engine_that_will_not_prune_is_no_error(engine: DockerEngine, fake_engine: FakeEngine) -> None:
    fake_engine.close()
    engine.remove_replaced_images()
    assert not [line for line in fake_engine.asked if "prune" in line]
