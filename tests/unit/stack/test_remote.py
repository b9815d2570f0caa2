"""Workers of other machines: what `up` refuses and says, what `join` refuses, and what a knock tells."""

from __future__ import annotations

import errno
import re
import socket
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecar.commands import join
from sidecar.common.errors import SettingError, StackError
from sidecar.engine.docker_engine import ListedContainer
from sidecar.locust_api import greeting
from sidecar.settings import load
from sidecar.stack import remote
from sidecar.stack.images import IMAGES, inputs_hash
from sidecar.stack.registered import WorkerWait
from tests.fakes.fake_engine import FakeEngine, container
from tests.paths import ROOT
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sidecar.common.console import Console
    from sidecar.engine.docker_engine import DockerEngine
    from sidecar.settings import Settings
    from tests.fakes.fake_time import FakeTime

FOREIGN = "192.0.2.77"  # documentation's: no machine has it


def settings(*words: str) -> Settings:
    return load(list(words), {}, Path("/nowhere"))


def listed(service: str, state: str = "running", project: str = "locust", **ports: int) -> ListedContainer:
    published = tuple((address.replace("_", ".").removeprefix("at."), port) for address, port in ports.items())
    return ListedContainer("id", f"{project}-{service}-1", project, service, state, "Up", False, "", published)  # noqa: FBT003


# ---- the address -----------------------------------------------------------------------------------------------------


def test_an_address_that_this_machine_has_is_taken_and_another_refused() -> None:
    remote.check(settings("REMOTE_WORKERS=127.0.0.1", "REMOTE_ALLOW=10.0.0.7"), [])
    with pytest.raises(SettingError, match=rf"REMOTE_WORKERS is {FOREIGN}, but no interface .*command line"):
        remote.check(settings(f"REMOTE_WORKERS={FOREIGN}"), [])


def test_another_stack_that_holds_the_port_there_is_named_and_our_own_is_not() -> None:
    here = settings("REMOTE_WORKERS=127.0.0.1", "PROJECT=mine", "REMOTE_ALLOW=10.0.0.7")
    remote.check(here, [listed("gate", project="mine", at_127_0_0_1=5557)])
    with pytest.raises(StackError, match=r"5557 of 127\.0\.0\.1 .* is in use by the container other-gate-1"):
        remote.check(here, [listed("gate", project="other", at_0_0_0_0=5557)])
    remote.check(here, [listed("gate", project="other", at_10_0_0_5=5557)])


def test_up_with_a_master_of_another_machine_is_a_mistake() -> None:
    with pytest.raises(SettingError, match="make join MASTER="):
        remote.check(settings("MASTER=10.0.0.5"), [])


@pytest.mark.parametrize(
    ("words", "terminal", "answer", "opens"),
    [
        ((), False, "", False),
        ((), True, "", False),
        ((), True, "no", False),
        ((), True, "y", True),
        (("YES=1",), False, "", True),
        (("REMOTE_ALLOW=10.0.0.7",), False, "", True),
        ((f"REMOTE_ALLOW={remote.EVERYONE}",), False, "", True),
    ],
)
def test_a_port_without_a_list_opens_only_if_a_person_agrees(
    words: tuple[str, ...],
    terminal: bool,  # noqa: FBT001
    answer: str,
    opens: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def person(question: str) -> str:
        asked.append(question)
        return answer

    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr("builtins.input", person)
    with nullcontext() if opens else pytest.raises(SettingError, match=r"REMOTE_ALLOW is empty, .* → make up REMOTE_A"):
        remote.check(settings("REMOTE_WORKERS=127.0.0.1", *words), [])
    assert asked == (["Open port 5557 of 127.0.0.1 to everyone? [y/N] "] if terminal else [])


# ---- what is said ----------------------------------------------------------------------------------------------------


def told(*words: str, mock: bool = False) -> str:
    return "\n".join(remote.lines(settings(*words), mock=mock, usual=lambda _: "10.0.0.5"))


def test_nothing_is_said_of_a_closed_port() -> None:
    assert told() == ""


def test_the_command_for_the_other_machine_repeats_what_both_must_be_told() -> None:
    text = told("REMOTE_WORKERS=10.0.0.5", "LOCUSTFILE=shop.py", "TAGS=a b", "WORKERS=9", "WEB_PORT=9000")
    assert "  make setup join MASTER=10.0.0.5 WORKERS=4 LOCUSTFILE=shop.py 'TAGS=a b'\n" in text
    assert "WEB_PORT" not in text


def test_an_open_port_is_warned_of_and_a_list_is_shown() -> None:
    text = told("REMOTE_WORKERS=10.0.0.5")
    assert "no password and no encryption" in text
    assert "everyone who reaches it" in text
    assert "EVERY network" not in text
    assert "everyone who reaches it" in told("REMOTE_WORKERS=10.0.0.5", f"REMOTE_ALLOW={remote.EVERYONE}")
    assert "only 10.0.0.7, 10.1.0.0/16" in told("REMOTE_WORKERS=10.0.0.5", "REMOTE_ALLOW=10.0.0.7,10.1.0.0/16")


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_every_network_is_warned_of_more_strongly_and_the_command_names_one_address(everywhere: str) -> None:
    text = told(f"REMOTE_WORKERS={everywhere}")
    assert "EVERY network" in text
    assert "MASTER=10.0.0.5 " in text


def test_the_mock_target_is_out_of_remote_workers_reach() -> None:
    assert "mock target" in told("REMOTE_WORKERS=10.0.0.5", mock=True)
    assert "mock target" not in told("REMOTE_WORKERS=10.0.0.5")


# ---- the gate --------------------------------------------------------------------------------------------------------


def test_the_gate_lets_in_by_the_list_alone_and_cuts_no_quiet_connection() -> None:
    text = (ROOT / "docker/docker-proxy/gate.cfg").read_text()
    assert 'acl is_allowed src "${KIT_REMOTE_ALLOW[*]}"' in text
    assert "tcp-request connection set-var(sess.why) str(refused) unless is_allowed" in text
    assert "tcp-request content reject if is_unwelcome" in text
    assert re.findall(r"timeout (?:client|server) (\S+)", text) == ["24d", "24d"]
    assert "server master locust-master:5557 resolvers docker" in text
    assert "init-addr none" in text


def test_the_images_hash_covers_the_gate_and_the_image_holds_it(tmp_path: Path) -> None:
    (tmp_path / "docker/docker-proxy").mkdir(parents=True)
    gate = tmp_path / "docker/docker-proxy/gate.cfg"
    gate.write_text("one")
    before = inputs_hash(tmp_path, IMAGES["docker-proxy"], "base")
    gate.write_text("two")
    assert inputs_hash(tmp_path, IMAGES["docker-proxy"], "base") != before
    assert "docker/docker-proxy/gate.cfg" in (ROOT / "docker/docker-proxy/Dockerfile").read_text()


# ---- the knock -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Answers one connection with what a test says; gives the port."""
    open_ones: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(answer: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        open_ones.append(listener)

        def serve() -> None:
            line, _ = listener.accept()
            with line:
                answer(line)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    for thread in threads:
        thread.join()
    for open_one in open_ones:
        open_one.close()


def test_a_greeting_is_enough(server: Callable[[Callable[[socket.socket], None]], int]) -> None:
    greeting.at("127.0.0.1", server(lambda line: line.sendall(b"\xff" + bytes(8) + b"\x7f")))


def test_a_close_at_once_is_the_allow_list_or_a_master_that_is_down(
    server: Callable[[Callable[[socket.socket], None]], int],
) -> None:
    with pytest.raises(StackError, match=r"closed the connection at once: its REMOTE_ALLOW lacks .* → make diagnose"):
        greeting.at("127.0.0.1", server(lambda _: None))


def test_another_server_is_told_from_a_master(server: Callable[[Callable[[socket.socket], None]], int]) -> None:
    with pytest.raises(StackError, match="is not a Locust master"):
        greeting.at("127.0.0.1", server(lambda line: line.sendall(b"HTTP/1.1 400 Bad Request\r\n")))


def test_a_port_where_nothing_listens_names_the_command_for_the_other_machine() -> None:
    port = free_port()
    with pytest.raises(StackError, match=rf"nothing listens at 127.0.0.1, port {port} → make up REMOTE_WORKERS="):
        greeting.at("127.0.0.1", port)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError("timed out"), "no answer within 5 s"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "No route to host → check MASTER; allow TCP port 5557"),
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved → give its address"),
        (OSError(errno.EPERM, "Operation not permitted"), "Operation not permitted"),
    ],
)
def test_each_way_not_to_reach_it_is_one_line(error: OSError, words: str) -> None:
    def connect(place: tuple[str, int], seconds: float) -> socket.socket:
        assert (place, seconds) == (("10.0.0.5", 5557), 5.0)
        raise error

    with pytest.raises(StackError) as caught:
        greeting.at("10.0.0.5", 5557, connect)
    assert words in caught.value.line()
    assert "\n" not in caught.value.line()


# ---- join ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["", "MASTER=localhost", "MASTER=127.0.0.1", "MASTER=[::1]:5557", "MASTER=0.0.0.0"])
def test_join_needs_a_master_that_a_container_can_reach(word: str, say: Console) -> None:
    with pytest.raises(SettingError, match=r"MASTER"):
        join.join(settings(*([word] if word else [])), {}, say)


def test_join_leaves_a_stack_with_a_master_alone() -> None:
    with pytest.raises(StackError, match=r"'mine' has a master on this machine → make down PROJECT=mine"):
        join.refuse_own_master([listed("locust-master", project="mine")], settings("PROJECT=mine"))
    join.refuse_own_master([listed("locust-master", "exited"), listed("locust-worker")], settings())


def test_joined_workers_are_waited_for_by_their_health(
    engine: DockerEngine, fake_engine: FakeEngine, say: Console, fake_time: FakeTime
) -> None:
    healthy = container("locust-worker", status="Up 5 seconds (healthy)")
    fake_engine.answers["/containers/json"] = [healthy, healthy]
    assert "2 workers healthy" in WorkerWait(engine, "locust", say, fake_time.clock()).healthy(2)
    with pytest.raises(StackError, match="2 of 3 workers heard the master within 10 s → make diagnose here"):
        WorkerWait(engine, "locust", say, fake_time.clock(), 10).healthy(3)
