"""Three real nodes: the stack comes up over all of them, a run is judged, and what breaks on any node is known."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.integration.stacks import until
from tests.swarm.nodes import PROJECT, WORKERS, Swarm, now

PROMISED_SECONDS = 5.0


def workers_by_node(snapshot: Any) -> Counter[str]:
    return Counter(container["node"] for container in snapshot["containers"] if container["service"] == "locust-worker")


def test_twelve_workers_are_spread_over_the_nodes_and_one_sidecar_shows_them_all(swarm: Swarm) -> None:
    def seen() -> Any:
        found = swarm.snapshot()
        shown = sum(workers_by_node(found).values()), found["locust"]["workers_connected"], len(found["nodes"])
        return found if shown == (WORKERS, WORKERS, 3) else None  # Locust's list comes by another way, and later

    snapshot = until(seen, 30, "the leader to show everything")
    assert workers_by_node(snapshot) == {"node1": 4, "node2": 4, "node3": 4}
    assert (snapshot["locust"]["workers_connected"], snapshot["locust"]["workers_expected"]) == (WORKERS, WORKERS)
    assert {node["name"]: node["answers"] for node in snapshot["nodes"]} == {
        "node1": True,
        "node2": True,
        "node3": True,
    }
    assert {worker["container"] for worker in snapshot["locust"]["workers"]} == {
        container["name"] for container in snapshot["containers"] if container["service"] == "locust-worker"
    }
    shown = swarm.kit("swarm-monitor", "ONCE=1").stdout
    assert f"workers {WORKERS}/{WORKERS}" in shown
    rows = Counter(word for line in shown.splitlines() for word in line.split() if word in ("node1", "node2", "node3"))
    assert min(rows.values()) >= 4


def test_a_run_over_all_nodes_passes(swarm: Swarm) -> None:
    done = swarm.kit("run", "USERS=24", "SPAWN_RATE=24", "RUN_TIME=8s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("PASS (exit 0)")
    assert swarm.report()["figures"]["requests"] > 50


@dataclass(frozen=True)
class Kill:
    """An OOM kill on a node that does not lead, and how long the leader took to know of it."""

    since: str
    node: str
    worker: str
    seconds: float

    def told(self, swarm: Swarm) -> list[dict[str, Any]]:
        """Return what the leader's ledger has of it."""
        return [incident for incident in swarm.incidents(self.since) if incident["kind"] == "oom_kill"]


@pytest.fixture(scope="module")
def memory_kill(swarm: Swarm) -> Kill:
    since, node = now(), swarm.others()[0]
    worker = swarm.kill_a_child_for_memory(node)
    killed = time.monotonic()
    made = Kill(since, node.name, worker, 0.0)
    until(lambda: made.told(swarm), 30, "the kill to reach the leader")
    return replace(made, seconds=time.monotonic() - killed)


@pytest.mark.kills
def test_a_memory_kill_beside_locust_on_another_node_is_in_the_leaders_ledger_once(
    swarm: Swarm, memory_kill: Kill
) -> None:
    # Three nodes of one kernel count every kill; all but one of them cannot place it, and must not tell it as nobody's.
    until(
        lambda: (
            {
                incident["severity"]
                for incident in swarm.incidents(memory_kill.since)
                if incident["kind"] == "unattributed_oom_kill"
            }
            == {"info"}
        ),
        30,
        "the other nodes' counts to be placed",
    )
    (kill,) = memory_kill.told(swarm)
    assert (kill["container_id"], kill["node"], kill["count"], kill["process_survived"]) == (
        memory_kill.worker,
        memory_kill.node,
        1,
        True,
    )


@pytest.mark.kills
@pytest.mark.long  # a span of time asserted: for a machine that does nothing else
def test_the_leader_knows_of_a_kill_within_five_seconds(memory_kill: Kill) -> None:
    assert memory_kill.seconds <= PROMISED_SECONDS


def test_a_stack_that_is_well_has_no_finding(swarm: Swarm) -> None:
    found = swarm.diagnose()
    assert (found["findings"], found["exit"], found["connected"]) == ([], 0, WORKERS)
    assert found["summary"]["ok"] == 10


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Cookie": "locust_kit_token=wrong"}, 401)],
)
def test_a_sidecar_opens_with_the_clusters_token_only(swarm: Swarm, headers: dict[str, str], status: int) -> None:
    request = urllib.request.Request(f"http://{swarm.leader().address()}:8090/api/snapshot", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)  # noqa: S310  a URL of our own
    with refused.value as answer:
        assert answer.status == status


def test_the_protections_that_swarm_drops_are_replaced(swarm: Swarm) -> None:
    """No process of the stack may gain privileges, whatever Swarm makes of security_opt."""
    for node in swarm.nodes:
        for row in json.loads("[" + ",".join(_rows(swarm, node.name)) + "]"):
            if "mock-target" in row["Names"]:
                continue
            status = node.docker("exec", row["ID"], "sh", "-c", "cat /proc/[0-9]*/status")
            flags = [line.split()[1] for line in status.splitlines() if line.startswith("NoNewPrivs")]
            assert "1" in flags, row["Names"]
            host = json.loads(node.docker("inspect", row["ID"]))[0]["HostConfig"]
            assert (host["ReadonlyRootfs"], host["CapDrop"], host["Privileged"]) == (True, ["ALL"], False)


def _rows(swarm: Swarm, node: str) -> list[str]:
    label = f"label=com.docker.stack.namespace={PROJECT}"
    return swarm.named(node).docker("ps", "--filter", label, "--format", "{{json .}}").splitlines()
