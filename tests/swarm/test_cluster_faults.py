"""What breaks on one of several machines: nodes that die, are cut off or drained, and what swarm-diagnose says."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import Any

import pytest

from tests.integration.stacks import docker, until
from tests.swarm.nodes import PROJECT, WORKERS, Swarm, now

pytestmark = pytest.mark.long

WORKER = f"{PROJECT}_locust-worker"


@pytest.fixture(autouse=True)
def well(swarm: Swarm) -> None:
    """Each of them begins with a stack that is well."""
    for node in swarm.nodes:
        swarm.manager.docker("node", "update", "--availability", "active", node.name)
    swarm.up()


def finding(swarm: Swarm, slug: str, seconds: float = 60) -> dict[str, Any]:
    """The diagnosis, once it names this root cause."""

    def named() -> dict[str, Any]:
        found = swarm.diagnose()
        return found if found["summary"]["root_cause"] == slug else {}

    return until(named, seconds, f"swarm-diagnose to name {slug}")


def mend(swarm: Swarm, diagnosis: dict[str, Any]) -> None:
    """Run the commands of the first finding, word for word, in the checkout."""
    for command in diagnosis["findings"][0]["fix"]["commands"]:
        done = subprocess.run(
            ["bash", "-c", command], env=dict(swarm.environ()), capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def end_of(run: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = run.communicate(timeout=720)
    return run.returncode, out


# ---- while a run goes on ---------------------------------------------------------------------------------------------


def test_a_node_that_is_killed_makes_the_run_invalid_and_its_workers_come_up_elsewhere(swarm: Swarm) -> None:
    victim = swarm.others()[-1]
    run = swarm.start_run(45)
    docker("kill", victim.container)
    try:
        code, out = end_of(run)
        assert (code, out.rstrip().rpartition("\n")[2]) == (4, "INVALID (exit 4)")
        assert " was lost: the master no longer hears it" in out
        report = swarm.report()
        assert Counter(reason["kind"] for reason in report["judged"]["reasons"])["worker_lost"] == WORKERS // 3
        assert f"no report from {victim.name}" in out
        until(lambda: swarm.snapshot()["locust"]["workers_connected"] == WORKERS, 90, "Swarm to place them anew")
        assert swarm.diagnose()["summary"]["root_cause"] == "node-down"
    finally:
        docker("start", victim.container)
    until(victim.answers, 60, "its engine")
    until(lambda: all(node["answers"] for node in swarm.snapshot()["nodes"]), 60, "it to be heard again")
    lost = [incident for incident in swarm.incidents() if incident["kind"] == "worker_lost" and incident["cause"]]
    assert lost == []  # its dead containers, told of now, were no home of the workers that took their names


def test_a_node_that_is_cut_off_is_blind_and_what_it_saw_meanwhile_is_told_once(swarm: Swarm) -> None:
    cut, since = swarm.others()[0], now()
    others = [node.address() for node in swarm.nodes if node.name != cut.name]
    run = swarm.start_run(40)
    drops = [("INPUT", "-s", address, "-j", "DROP") for address in others]
    drops += [("OUTPUT", "-d", address, "-j", "DROP") for address in others]
    with cut.rules(*drops):
        until(lambda: [one for one in swarm.snapshot()["blind"] if one["node"] == cut.name], 30, "the silence")
        worker = swarm.kill_a_child_for_memory(cut)
        assert [incident for incident in swarm.incidents(since) if incident["kind"] == "oom_kill"] == []

    def told() -> list[dict[str, Any]]:
        return [incident for incident in swarm.incidents(since) if incident["kind"] == "oom_kill"]

    until(told, 60, "the kill to be told")
    code, out = end_of(run)
    assert (code, out.rstrip().rpartition("\n")[2]) == (4, "INVALID (exit 4)")
    silence = until(
        lambda: [
            incident
            for incident in swarm.incidents(since)
            if incident["kind"] == "blind"
            and incident["until"]
            and incident["node"] == cut.name
            and incident["text"].startswith("nothing was heard")
        ],
        30,
        "the end of the silence",
    )
    assert (len(silence), silence[0]["severity"]) == (1, "info")
    (kill,) = told()
    assert (kill["container_id"], kill["count"]) == (worker, 1)
    counts = Counter(incident["id"] for incident in swarm.incidents(since))
    assert max(counts.values()) == 1


def test_a_drained_leader_is_followed_by_another_that_says_what_it_cannot_know(swarm: Swarm) -> None:
    before, since = swarm.leader(), now()
    swarm.manager.docker("node", "update", "--availability", "drain", before.name)

    def moved() -> bool:
        try:
            snapshot = swarm.snapshot()
        except (OSError, IndexError):
            return False
        return swarm.leader().name != before.name and bool(
            snapshot["leads"] and snapshot["locust"] and snapshot["locust"]["workers_connected"] == WORKERS
        )

    until(moved, 120, "master and leader to come up elsewhere")
    lost = until(
        lambda: [
            incident for incident in swarm.incidents(since) if incident["text"].startswith(f"{before.name} led until")
        ],
        60,
        "the loss to be said",
    )
    assert (lost[0]["kind"], lost[0]["severity"]) == ("blind", "warn")
    swarm.manager.docker("node", "update", "--availability", "active", before.name)
    names = {node["name"] for node in swarm.snapshot()["nodes"]}
    until(lambda: {node["name"] for node in swarm.snapshot()["nodes"]} > names, 60, "it to be heard again")
    assert [
        incident for incident in swarm.incidents() if incident["node"] == before.name
    ]  # its own ledger is read again


# ---- swarm-diagnose --------------------------------------------------------------------------------------------------


def test_a_filtered_overlay_port_is_found_from_the_nodes_own_place(swarm: Swarm) -> None:
    node = swarm.others()[0]
    port = ("-p", "udp", "--dport", "4789", "-j", "DROP")
    with node.rules(("INPUT", *port), ("OUTPUT", *port)):
        found = finding(swarm, "master-port-filtered")
        assert found["findings"][0]["affects"] == [node.name]
        assert len(found["findings"]) == 1
    until(lambda: swarm.diagnose()["exit"] == 0, 120, "all to be well again")


def test_an_image_that_is_missing_on_a_node_is_named_and_brought_there(swarm: Swarm) -> None:
    node = swarm.others()[0]
    image = swarm.manager.docker("service", "inspect", WORKER, "--format", "{{.Spec.TaskTemplate.ContainerSpec.Image}}")
    node.docker("rmi", "--force", image)
    swarm.manager.docker("service", "update", "--detach", "--force", WORKER)
    found = finding(swarm, "image-missing")
    assert found["findings"][0]["affects"][0] == node.name
    assert image in found["findings"][0]["title"]
    mend(swarm, found)
    until(lambda: swarm.diagnose()["exit"] == 0, 60, "all to be well again")


def test_a_reservation_that_fits_nowhere_is_named_with_one_that_fits(swarm: Swarm) -> None:
    swarm.manager.docker("service", "update", "--detach", "--reserve-memory", "500G", WORKER)
    found = finding(swarm, "reservation-fits-nowhere")
    assert "WORKER_MEMORY_RESERVATION=256M" in found["findings"][0]["fix"]["commands"][0]
    mend(swarm, found)
    until(lambda: swarm.diagnose()["exit"] == 0, 60, "all to be well again")


def test_two_images_after_half_an_update_are_named_and_one_deploy_makes_them_one(swarm: Swarm) -> None:
    image = swarm.manager.docker("service", "inspect", WORKER, "--format", "{{.Spec.TaskTemplate.ContainerSpec.Image}}")
    for node in swarm.nodes:
        node.docker("tag", image, "locust-kit/locust:of-before")
    swarm.manager.docker("service", "update", "--detach", "--image", "locust-kit/locust:of-before", WORKER)
    found = finding(swarm, "versions-differ", 120)
    assert {one["what"] for one in found["findings"][0]["evidence"]} == {
        "running locust-master",
        "running locust-worker",
    }
    mend(swarm, found)
    until(lambda: swarm.diagnose()["exit"] == 0, 60, "all to be well again")


# ---- changes ---------------------------------------------------------------------------------------------------------


def test_a_changed_locustfile_reaches_every_node_without_a_build(swarm: Swarm) -> None:
    path = swarm.files / "locustfile.py"
    before = path.read_text()
    path.write_text(before + "\n\nclass OnlyHere(ShopUser):\n    weight = 1\n")
    try:
        said = swarm.up()
        assert "OnlyHere" in said
        assert "every node has the images" in said
        for node in swarm.nodes:
            worker = swarm.worker_on(node)
            assert "OnlyHere" in node.docker("exec", worker, "cat", "/home/locust/run/locustfile.py")
    finally:
        path.write_text(before)


def test_scaling_brings_the_masters_count_along(swarm: Swarm) -> None:
    done = swarm.kit("swarm-scale", "WORKERS=6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 workers registered: 2 on node1, 2 on node2, 2 on node3" in done.stdout
    assert swarm.diagnose()["exit"] == 0
