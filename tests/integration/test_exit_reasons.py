"""Why a container ended, told apart on real containers. 137 alone is never called an OOM kill."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.integration.stacks import Stack, docker, until
from tests.integration.storm.account import Account, Seen, account
from tests.integration.storm.host import sigkill
from tests.integration.storm.truth import resting
from tests.integration.storm.victims import Shape, Victim, Ward, eater, sh

pytestmark = pytest.mark.kills

DEAF = sh('echo \'{"what":"done","ns":0}\'; trap "" TERM; while :; do sleep 1; done')
SETTLED_SECONDS = 60.0


@dataclass(frozen=True)
class Case:
    """What runs, what is done to it once it is ready, and what must be said about its end."""

    command: tuple[str, ...]
    reason: str
    exit_code: int
    kills: int = 0
    act: Callable[[str], object] = field(default=lambda _: None)
    restart: str = "no"
    service: str = ""


def stop(container_id: str) -> None:
    docker("stop", "--time", "10", container_id)


def stop_the_deaf(container_id: str) -> None:
    docker("stop", "--time", "1", container_id)


def docker_kill(container_id: str) -> None:
    docker("kill", container_id)


CASES = {
    "main-oom": Case(eater("main", "1", "0.3"), "oom", 137, kills=1),
    "child-oom-then-3": Case(eater("exits", "1", "3"), "oom", 3, kills=1),
    "docker-stop-obeyed": Case(eater("wait"), "stopped", 0, act=stop),
    "docker-stop-ignored": Case(DEAF, "stopped", 137, act=stop_the_deaf),
    "docker-stop-after-oom": Case(eater("parent", "1", "0"), "stopped", 0, kills=1, act=stop),
    "docker-kill": Case(DEAF, "stopped", 137, act=docker_kill),
    "kill-9-from-the-host": Case(DEAF, "killed", 137, act=sigkill),
    "kill-9-long-after-oom": Case(eater("parent", "1", "7"), "killed", 137, kills=1, act=sigkill),
    "kill-9-and-restarted": Case(DEAF, "killed", 137, act=sigkill, restart="unless-stopped"),
    "exit-137": Case(sh("sleep 0.5; exit 137"), "killed", 137),
    "crash-3": Case(sh("sleep 0.5; exit 3"), "crashed", 3),
    "finished": Case(sh("sleep 0.5"), "finished", 0),
    "worker-leaves": Case(sh("sleep 0.5"), "lost_master", 0, service="locust-worker"),
}


@pytest.fixture(scope="module")
def ended(stack: Stack) -> Iterator[dict[str, Victim]]:
    """Every case played, on one stack, at the same time; each container's end is behind it."""
    stack.up("WORKERS=1", "MOCK=1")
    until(lambda: account(stack.monitor_port), 60, "the sidecar's account")
    ward = Ward(stack.project)
    ward.remove()
    try:
        victims = {
            name: ward.start(Shape(name, case.command, restart=case.restart, service=case.service))
            for name, case in CASES.items()
        }
        for name, victim in victims.items():
            until(lambda victim=victim: resting(victim), 60, f"{name} to be ready")  # type: ignore[misc]
            CASES[name].act(victim.id)
        yield victims
    finally:
        ward.remove()


def end_of(said: Account, victim: Victim) -> Seen | None:
    """What is said of a container's end, once that is the last word."""
    ends = [
        one
        for kind in ("exit", "restart")
        for one in said.of_kind(kind)
        if one.container_id == victim.id and one.state == "final"
    ]
    return ends[0] if ends else None


@pytest.fixture
def said(stack: Stack, ended: dict[str, Victim]) -> Account:
    """The account, once it has told every end."""

    def whole() -> Account | None:
        now = account(stack.monitor_port)
        return now if now and now.settled() and all(end_of(now, victim) for victim in ended.values()) else None

    now = until(whole, SETTLED_SECONDS, "the last word on every end")
    assert now is not None
    return now


@pytest.mark.parametrize("name", CASES)
def test_an_end_has_its_reason(name: str, ended: dict[str, Victim], said: Account) -> None:
    case, victim = CASES[name], ended[name]
    end = end_of(said, victim)
    assert end is not None
    assert end.document["reason"] == case.reason, end.document
    assert end.document["exit_code"] == case.exit_code
    assert said.kills(victim.id) == case.kills


def test_no_end_by_a_signal_or_a_code_alone_is_called_an_oom_kill(ended: dict[str, Victim], said: Account) -> None:
    killed = {one.container_id for one in said.of_kind("oom_kill")}
    innocent = {victim.id for name, victim in ended.items() if not CASES[name].kills}
    assert not killed & innocent


def test_an_end_by_oom_names_the_kill_that_it_follows_from(ended: dict[str, Victim], said: Account) -> None:
    end = end_of(said, ended["main-oom"])
    (kill,) = [one for one in said.of_kind("oom_kill") if one.container_id == ended["main-oom"].id]
    assert end is not None
    assert end.document["cause"] == kill.id
    assert kill.document["process_survived"] is False


@pytest.mark.long
def test_a_real_worker_that_loses_its_master_leaves_with_0_and_is_said_to(
    stack: Stack, ended: dict[str, Victim]
) -> None:
    assert ended
    (worker,) = [container for container in stack.containers("locust-worker") if container != ended["worker-leaves"].id]
    (master,) = stack.containers("locust-master")
    docker("stop", "--time", "1", master)

    def told() -> Seen | None:
        now = account(stack.monitor_port)
        found = now.of_kind("restart") + now.of_kind("exit") if now else ()
        return next((one for one in found if one.container_id == worker), None)

    end = until(told, 180, "the worker to give its master up")
    assert end is not None
    assert (end.document["reason"], end.document["exit_code"]) == ("lost_master", 0)
