"""Workers of other machines: what is found on the master's machine, and on theirs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.diagnose.evidence import Evidence, ListedWorker, NameTry, Network, Pair, TcpTry
from sidecar.diagnose.judge import diagnose
from sidecar.diagnose.stack import GATE, PROXY, Stack
from sidecar.model.finding import Finding, Status
from tests.unit.diagnose.scene import (
    NOW,
    causes,
    changed,
    container,
    lines,
    named,
    probed,
    rows,
    told,
    unregistered,
    well,
    with_master,
)

FAR = "10.0.0.5"
WORKERS = ("locust-worker-1", "locust-worker-2")


def opened(evidence: Evidence | None = None, *, log: tuple[str, ...] = (), **config: object) -> Evidence:
    """A stack that is open for workers of other machines, two of which are there."""
    evidence = evidence or well()
    gate = replace(
        container("gate-1", "gate", 1, "172.18.0.9", {}),
        image="locust-kit/docker-proxy:local",
        health="",
        published=(f"{FAR}:5557->5557/tcp",),
        log=lines(*log),
    )
    changes = {"remote_workers": FAR, "up_words": ("WORKERS=2", f"REMOTE_WORKERS={FAR}"), **config}
    far = tuple(ListedWorker(f"load{number}_{'b' * 32}", "ready") for number in (2, 3))
    evidence = with_master(evidence, workers=(*rows(evidence), *far))
    return replace(
        evidence,
        containers=(*evidence.containers, gate),
        config=replace(evidence.config, **changes),  # type: ignore[arg-type]
    )


def joined(tried: TcpTry | None = None, **changes: object) -> Evidence:
    """Two workers, and a master on another machine."""
    evidence = well()
    for name in WORKERS:
        evidence = told(evidence, name, LOCUST_MASTER_NODE_HOST=FAR)
        probe = {"names": (NameTry(FAR, (FAR,)),), "tcp": (tried or TcpTry(FAR, 5557, "open", greeting="zmtp"),)}
        evidence = probed(evidence, name, **(probe | changes))
    here = tuple(one for one in evidence.containers if one.service == "locust-worker")
    words = (f"MASTER={FAR}", "WORKERS=2")
    return replace(
        evidence,
        containers=here,
        probes=tuple(probe for probe in evidence.probes if probe.container in WORKERS),
        config=replace(evidence.config, master=FAR, up_words=words),
        master=None,
        monitor=None,
    )


def check(evidence: Evidence, name: str = "remote-workers") -> tuple[Status, str]:
    found = next(one for one in diagnose(evidence).checks if one.name == name)
    return found.status, found.text


def first(evidence: Evidence) -> Finding:
    return diagnose(evidence).findings[0]


# ---- on the master's machine -----------------------------------------------------------------------------------------


def test_a_stack_that_is_open_to_nobody_else_has_nothing_to_check() -> None:
    assert check(well()) == (Status.OK, "port 5557 is not open to other machines")


def test_remote_workers_are_counted_and_an_open_port_is_information() -> None:
    status, text = check(opened())
    assert status is Status.INFO
    assert text == f"2 remote workers registered; port 5557 is open on {FAR}: anyone who reaches it may join"
    assert causes(opened()) == []


def test_a_list_that_admits_everyone_is_an_open_port() -> None:
    assert check(opened(remote_allow=("0.0.0.0/0", "::/0"))) == check(opened())
    found = first(opened(remote_workers="0.0.0.0", remote_allow=("0.0.0.0/0",)))
    assert found.slug == "remote-port-open"
    assert found.evidence[1].seen == "0.0.0.0/0, so anyone may join"


def test_with_a_list_it_is_well() -> None:
    status, text = check(opened(remote_allow=("10.0.0.7",)))
    assert status is Status.OK
    assert "addresses in REMOTE_ALLOW may join" in text


def test_the_gate_is_not_taken_for_the_sidecars_door() -> None:
    stack = Stack(opened())
    assert [one.name for one in stack.of(GATE)] == ["gate-1"]
    assert [one.name for one in stack.of(PROXY)] == ["docker-proxy-1"]


@pytest.mark.parametrize("state", ["exited", "gone"])
def test_without_the_gate_nobody_can_come_and_up_starts_it(state: str) -> None:
    evidence = changed(opened(), "gate-1", state=state)
    if state == "gone":
        evidence = replace(evidence, containers=evidence.containers[:-1])
    assert causes(evidence) == ["remote-workers-shut"]
    assert first(evidence).fix.commands == (f"make up WORKERS=2 REMOTE_WORKERS={FAR}",)


def test_an_address_that_is_gone_is_for_a_person_to_choose_anew() -> None:
    evidence = opened(remote_address_is_own=False)
    assert causes(evidence) == ["remote-workers-shut"]
    assert first(evidence).fix.commands == ()
    assert "no interface of this machine has it" in first(evidence).evidence[0].seen


def test_addresses_that_the_list_refused_are_named_with_the_command_that_lets_them_in() -> None:
    log = ("refused 10.0.0.8", "refused 10.0.0.9", "refused 10.0.0.8", "[WARNING] (7) : master/master is UP")
    evidence = opened(log=log, remote_allow=("10.0.0.7",), up_words=("WORKERS=2", "REMOTE_ALLOW=10.0.0.7"))
    found = first(evidence)
    assert named(diagnose(evidence)) == ["remote-worker-refused"]
    assert (found.severity, found.affects) == ("warn", ("10.0.0.8", "10.0.0.9"))
    assert found.fix.commands == ("make up WORKERS=2 REMOTE_ALLOW=10.0.0.7,10.0.0.8,10.0.0.9",)


def test_an_address_with_too_many_connections_is_named_with_the_limit() -> None:
    found = first(opened(log=("crowded 10.0.0.7",), remote_allow=("10.0.0.7",), remote_workers_per_address=16))
    assert found.title == "The gate refused 10.0.0.7: too many connections"
    assert "beyond 16 at the same time" in found.evidence[0].seen
    assert found.fix.commands[0].endswith(" REMOTE_WORKERS_PER_ADDRESS=32")


def test_many_refused_addresses_are_counted_and_four_are_named() -> None:
    evidence = opened(log=tuple(f"refused 10.0.0.{n}" for n in range(20, 30)), remote_allow=("10.0.0.7",))
    assert first(evidence).title.startswith("The gate refused 10.0.0.29, 10.0.0.28, 10.0.0.27, 10.0.0.26 and 6")


def test_what_was_refused_long_ago_is_forgotten() -> None:
    old = changed(opened(remote_allow=("10.0.0.7",)), "gate-1", log=lines("refused 10.0.0.8", seconds_ago=3600))
    assert causes(old) == []


def test_a_gateway_of_dockers_in_the_list_would_let_everybody_in() -> None:
    evidence = opened(log=("refused 172.18.0.1",), remote_allow=("10.0.0.7",))
    assert any("lets everybody in" in one.seen for one in first(evidence).evidence)
    elsewhere = replace(evidence, networks=(Network("net0", "locust_default", "bridge", ("172.18.0.0/16",)),))
    assert not any("lets everybody in" in one.seen for one in first(elsewhere).evidence)


@pytest.mark.parametrize(("address", "found"), [("0.0.0.0", True), ("::", True), ("8.8.8.8", True), (FAR, False)])
def test_a_port_that_is_open_to_everybody_everywhere_is_a_warning(address: str, *, found: bool) -> None:
    assert causes(opened(remote_workers=address)) == (["remote-port-open"] if found else [])
    assert causes(opened(remote_workers=address, remote_allow=("10.0.0.7",))) == []


def test_a_remote_worker_of_another_version_is_told_by_the_masters_log() -> None:
    text = f"A worker (load2_{'b' * 32}) running a different version (2.31.0) connected, master version is 2.47.0"
    evidence = changed(opened(), "locust-master-1", log=lines(text))
    assert causes(evidence) == ["version-mismatch"]
    assert causes(changed(well(), "locust-master-1", log=lines(text))) == []


def test_remote_workers_stand_in_for_none_of_this_machine() -> None:
    assert "workers-fewer-than-expected" in causes(opened(unregistered(well(), "locust-worker-1")))


# ---- on the other machine --------------------------------------------------------------------------------------------


def test_workers_alone_are_well_while_their_master_answers() -> None:
    diagnosis = diagnose(joined())
    assert named(diagnosis) == []
    assert check(joined()) == (Status.OK, f"the master at {FAR} answers; 2 of 2 workers hear it")
    assert check(joined(), "sidecar")[0] is Status.SKIP
    assert check(joined(), "docker-proxy")[0] is Status.SKIP


def test_workers_alone_that_nobody_joined_lack_a_master_as_before() -> None:
    evidence = joined()
    assert "master-exited" in causes(replace(evidence, config=replace(evidence.config, master="")))


@pytest.mark.parametrize(
    ("tried", "how"),
    [
        (TcpTry(FAR, 5557, "refused"), "nothing listens there"),
        (TcpTry(FAR, 5557, "timeout"), "no answer"),
        (TcpTry(FAR, 5557, "open", greeting="closed"), "REMOTE_ALLOW there lacks this machine"),
        (TcpTry(FAR, 5557, "open", greeting="none"), "no Locust master answers"),
        (TcpTry(FAR, 5557, "error", "no buffer space"), "no buffer space"),
    ],
)
def test_a_master_that_does_not_answer_over_there_is_the_one_cause(tried: TcpTry, how: str) -> None:
    evidence = joined(tried)
    assert causes(evidence) == ["remote-master-unreachable"]
    assert how in first(evidence).title
    assert f"REMOTE_WORKERS={FAR}" in first(evidence).fix.text


def test_a_name_of_the_master_that_leads_nowhere_is_told() -> None:
    nowhere = joined(names=(NameTry(FAR, (), "Name or service not known"),))
    assert causes(nowhere) == ["remote-master-unreachable"]
    assert "Name or service not known" in first(nowhere).title


def test_a_mend_on_the_other_machine_joins_again() -> None:
    evidence = changed(joined(), "locust-worker-1", state="exited", exit_code=137, finished_at=NOW, pid=None)
    assert first(evidence).fix.commands == (f"make join MASTER={FAR} WORKERS=2",)


def test_a_joined_stack_is_told_by_what_it_has() -> None:
    assert Stack(joined()).is_joined
    own = well()
    assert not Stack(replace(own, config=replace(own.config, master=FAR))).is_joined
    assert Pair("LOCUST_MASTER_NODE_HOST", FAR) in joined().containers[0].environment
