"""Containers held against what `up` made."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli import listing
from sidecar.common.console import Console
from sidecar.common.errors import StackError
from sidecar.engine.docker_engine import DockerEngine
from sidecar.settings import Settings, load
from sidecar.stack import as_decided, state
from tests.fakes.fake_engine import FakeEngine, container

MINE = {
    "LOCUSTFILE": "mine.py",
    "KIT_HOST": "http://ann:pw@shop.example",
    "KIT_FAIL_THRESHOLD": "0.05",
    "KIT_PUSH_MARK": "1",
}
SHIPPED = {"LOCUSTFILE": "locustfile.py", "KIT_HOST": "", "KIT_FAIL_THRESHOLD": "5%", "KIT_PUSH_MARK": ""}


class OneStack:
    """An engine with a master and two workers, and what `up` remembers of it."""

    def __init__(self, root: Path) -> None:
        self.root, self.engine = root, FakeEngine(root / "docker.sock")
        self.settings: Settings = load(["PROJECT=p", "WORKERS=2"], {}, root)
        self.environ = {"DOCKER_HOST": f"unix://{self.engine.path}"}
        self.made: dict[str, tuple[str, str, dict[str, str]]] = {}
        for name in ("locust-master-1", "locust-worker-1", "locust-worker-2"):
            self.make(name, MINE)
        state.write(state.path_of(root, "p"), {"choices": {"WORKERS": "2"}, "decided": {"host": MINE["KIT_HOST"]}})
        as_decided.remember(self.docker, self.settings)

    @property
    def docker(self) -> DockerEngine:
        return DockerEngine(self.engine.path)

    def make(
        self, name: str, environment: dict[str, str], folder: str = "/home/me/shop", memory: int = 2 << 30
    ) -> None:
        """Make a container, or make it anew."""
        service = name.rpartition("-")[0]
        labels = {
            "com.docker.compose.config-hash": f"{sorted(environment.items())} {folder} {memory}",
            "com.docker.compose.project.working_dir": str(self.root),
        }
        port = [{"IP": "127.0.0.1", "PrivatePort": 8089, "PublicPort": 8089, "Type": "tcp"}]
        row = container(service, "p", labels=labels, ports=port if service == "locust-master" else [])
        row |= {"Id": name, "Names": [f"/p-{name}"]}
        rows = [other for other in self.engine.answers["/containers/json"] if other["Id"] != name]
        self.engine.answers["/containers/json"] = [*rows, row]
        self.engine.answers[f"/containers/{name}/json"] = {
            "Config": {
                "Env": [f"{key}={text}" for key, text in environment.items()],
                "Image": "i",
                "Labels": row["Labels"],
            },
            "HostConfig": {"Memory": memory, "Ulimits": [{"Name": "nofile", "Soft": 10000}]},
            "Mounts": [{"Destination": "/mnt/locust", "Source": folder}],
        }

    def as_plain_compose(self, *names: str) -> None:
        for name in names:
            self.make(name, SHIPPED, str(self.root / "locustfiles"))

    def texts(self) -> list[str]:
        found = as_decided.differences(self.docker, self.docker.containers("p"), self.settings)
        return [difference.text for difference in found]

    def error(self) -> str:
        with pytest.raises(StackError) as caught:
            as_decided.check(self.settings, self.environ)
        return caught.value.line()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[OneStack]:
    made = OneStack(tmp_path)
    with contextlib.closing(made.engine):
        yield made


ALL = ("locust-master-1", "locust-worker-1", "locust-worker-2")


def test_containers_as_up_made_them_are_not_looked_at_more_closely(stack: OneStack) -> None:
    stack.engine.asked.clear()
    assert stack.texts() == []
    as_decided.check(stack.settings, stack.environ)
    assert not [path for path in stack.engine.asked if path.endswith("-1/json")]


def test_a_stack_that_plain_compose_made_anew_is_refused_with_every_difference(stack: OneStack) -> None:
    stack.as_plain_compose(*ALL)
    folder = stack.root / "locustfiles"
    assert stack.error() == (
        "the stack 'p' was made by another command than `up`: HOST is the classes' own, `up` set "
        "http://***@shop.example; LOCUSTFILE is locustfile.py, `up` set mine.py; "
        f"LOCUSTFILES_DIR is {folder}, `up` set /home/me/shop → make up PROJECT=p"
    )
    assert all(item.is_default for item in as_decided.seen(stack.settings, stack.environ))


def test_of_some_containers_their_names_are_said(stack: OneStack) -> None:
    stack.make("locust-worker-2", MINE, memory=512 << 20)
    assert stack.texts() == ["WORKER_MEMORY is 512 MiB in p-locust-worker-2, `up` set 2048 MiB"]
    (difference,) = as_decided.seen(stack.settings, stack.environ)
    assert not difference.is_default


def test_a_value_that_means_the_same_is_no_difference(stack: OneStack) -> None:
    stack.make("locust-master-1", {**MINE, "KIT_FAIL_THRESHOLD": "5%", "KIT_PUSH_MARK": "2"})
    assert stack.texts() == []


def test_a_stack_that_no_up_has_made_is_taken_as_it_is(stack: OneStack) -> None:
    state.path_of(stack.root, "p").unlink()
    stack.as_plain_compose(*ALL)
    assert as_decided.check(stack.settings, stack.environ) == (
        "the stack 'p' was not made by `make up` of this checkout: LOCUSTFILE locustfile.py, "
        f"LOCUSTFILES_DIR {stack.root}/locustfiles, HOST of the User classes"
    )
    assert stack.texts() == []


@pytest.mark.parametrize("variable", ["HOST", "LOCUST_HOST"])
def test_the_target_of_an_env_file_is_the_same_target(stack: OneStack, variable: str) -> None:
    for name in ALL:
        stack.make(name, {**MINE, "KIT_HOST": "", variable: MINE["KIT_HOST"]})
    assert stack.texts() == []


def test_a_state_of_the_version_before_is_held_against_nothing(stack: OneStack) -> None:
    path = state.path_of(stack.root, "p")
    kept = state.read(path)
    del kept["made"]
    state.write(path, kept)
    stack.as_plain_compose(*ALL)
    as_decided.check(stack.settings, stack.environ)


@pytest.mark.parametrize("master_state", ["exited", "created", ""])
def test_a_stack_that_does_not_run_is_said_to_be_down(stack: OneStack, master_state: str) -> None:
    rows: list[dict[str, Any]] = stack.engine.answers["/containers/json"]
    stack.engine.answers["/containers/json"] = [
        row | ({"State": master_state} if row["Id"] == "locust-master-1" else {})
        for row in rows
        if master_state or row["Id"] != "locust-master-1"
    ]
    assert stack.error() == "the stack 'p' is not running → make up PROJECT=p"


def test_a_master_that_is_started_anew_is_waited_for(stack: OneStack) -> None:
    stack.engine.answers["/containers/json"][0]["State"] = "restarting"
    as_decided.check(stack.settings, stack.environ)


def test_the_port_of_another_stack_is_not_taken_for_ours(stack: OneStack) -> None:
    other = replace(stack.settings, project="q")
    with pytest.raises(StackError, match=r"port 8089 belongs to the stack 'p', not to 'q' → make up PROJECT=q"):
        as_decided.check(other, stack.environ)


def test_the_same_port_at_another_address_of_this_machine_is_no_port_of_ours(stack: OneStack) -> None:
    port = {"IP": "10.0.0.5", "PrivatePort": 80, "PublicPort": 8089, "Type": "tcp"}
    stack.engine.answers["/containers/json"].append(container("shop", "q", ports=[port]))
    assert as_decided.check(stack.settings, stack.environ) == ""
    port["IP"] = "0.0.0.0"
    assert stack.error().startswith("port 8089 belongs to the stack 'q', not to 'p'")


def test_without_an_engine_nothing_is_refused(stack: OneStack) -> None:
    nowhere = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    as_decided.check(stack.settings, nowhere)
    assert as_decided.seen(stack.settings, nowhere) == ()


def test_ps_tells_the_differences_and_that_nothing_runs(
    stack: OneStack, capsys: pytest.CaptureFixture[str], say: Console
) -> None:
    stack.as_plain_compose(*ALL)
    listing.ps(stack.settings, stack.environ, say, {"--json": ""})
    lines = capsys.readouterr().out.splitlines()
    assert "made by another command: LOCUSTFILE is locustfile.py, `up` set mine.py → make up PROJECT=p" in lines
    for row in stack.engine.answers["/containers/json"]:
        row["State"] = "exited"
    with pytest.raises(StackError, match="the stack 'p' is not running"):
        listing.ps(stack.settings, stack.environ, say, {"--json": ""})
