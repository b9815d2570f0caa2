from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecar.common.errors import StackError
from sidecar.engine.docker_engine import ListedContainer
from sidecar.settings import load
from sidecar.stack import ports
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


def holder(port: int, project: str, service: str = "locust-master", address: str = "127.0.0.1") -> ListedContainer:
    name = f"{project}-{service}-1"
    return ListedContainer("id", name, project, service, "running", "Up", False, "", ((address, port),))  # noqa: FBT003


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free() -> int:
    return free_port()


def check(web: int, monitor: int, *containers: ListedContainer) -> None:
    ports.check(load([f"WEB_PORT={web}", f"MONITOR_PORT={monitor}", "PROJECT=mine"], {}, Path("/nowhere")), containers)


def test_a_process_on_the_port_is_named(taken: int, free: int) -> None:
    with pytest.raises(StackError, match=rf"port {taken} \(WEB_PORT\) is in use by the process .*{os.getpid()}"):
        check(taken, free)


def test_the_monitors_port_is_looked_at_too(taken: int, free: int) -> None:
    with pytest.raises(StackError, match=rf"port {taken} \(MONITOR_PORT\).*make up MONITOR_PORT="):
        check(free, taken)


def test_a_process_that_may_not_be_seen_is_still_a_holder(
    taken: int, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.net_connections", lambda **_: [])
    with pytest.raises(StackError, match=r"a process that this user cannot see"):
        check(taken, free)


def test_another_stack_is_named_with_the_way_to_end_it(taken: int, free: int) -> None:
    with pytest.raises(
        StackError, match=r"the container other-locust-master-1 of the stack 'other'.*make down PROJECT=other"
    ):
        check(taken, free, holder(taken, "other"))


def test_our_own_stack_may_hold_its_ports(taken: int, free: int) -> None:
    check(taken, free, holder(taken, "mine"))


def test_a_container_on_another_address_is_in_nobodys_way(free: int, taken: int) -> None:
    with pytest.raises(StackError, match=r"the process"):
        check(taken, free, holder(taken, "other", address="10.1.2.3"))


def test_free_ports_pass(free: int) -> None:
    check(free, free_port())
