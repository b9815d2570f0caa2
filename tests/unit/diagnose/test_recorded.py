"""Evidence recorded on a real stack, one of each fault: judged again as it was, and with everything named otherwise."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest

from sidecar.diagnose.evidence import Evidence
from sidecar.diagnose.judge import diagnose
from sidecar.model import document
from sidecar.model.incident import Severity
from tests.faults.record import DATA
from tests.faults.table import ordered

FAULTS = {one.name: one for one in ordered()}
NAMES = {
    "kit-test-faults": "shop-load",
    "locust-mastr": "bosss",
    "locust-master": "boss",
    "locust-worker": "hand",
    "mock-target": "goal",
    "LOCUST_MASTER_HOST": "LOCUST_MASTER_ADDRESS",
}
PORTS = {"5557": "6557", "5600": "6600", "8089": "9089"}
TOLD = {"LOCUST_MODE_MASTER": "LOCUST_MASTER_BIND_PORT", "LOCUST_MODE_WORKER": "LOCUST_MASTER_NODE_PORT"}
NEEDS_DEFAULT_PORTS = {"an-empty-port"}


def recorded(name: str) -> str:
    return gzip.decompress((DATA / f"{name}.json.gz").read_bytes()).decode()


def named(evidence: str) -> list[str]:
    found = diagnose(document.loads_as(Evidence, evidence, "evidence")).findings
    return [one.slug for one in found if one.severity is not Severity.INFO]


def renamed(evidence: str) -> str:
    """The same with other names of project, services, containers and of the variable that nobody reads."""
    for old, new in NAMES.items():
        evidence = evidence.replace(old, new)
    return evidence


def with_other_ports(evidence: str) -> str:
    """The same with other ports; where a container was left to Locust's own, it is told the other one."""
    for old, new in PORTS.items():
        evidence = re.sub(rf"\b{old}\b", new, evidence)
    found: dict[str, Any] = json.loads(evidence)
    for container in found["containers"]:
        told = {pair["name"] for pair in container["environment"]}
        for mode, port in TOLD.items():
            if mode in told and port not in told:
                container["environment"].append({"name": port, "value": PORTS["5557"]})
        if "LOCUST_MODE_MASTER" in told and "LOCUST_WEB_PORT" not in told:
            container["environment"].append({"name": "LOCUST_WEB_PORT", "value": PORTS["8089"]})
    return json.dumps(found)


def test_each_fault_of_the_matrix_is_recorded_and_nothing_else() -> None:
    assert {one.name.removesuffix(".json.gz") for one in DATA.iterdir()} == set(FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_the_recorded_cause_is_named_again(name: str) -> None:
    assert named(recorded(name)) == [FAULTS[name].cause]


@pytest.mark.parametrize("name", FAULTS)
def test_other_names_change_nothing(name: str) -> None:
    evidence = renamed(recorded(name))
    assert not any(old in evidence for old in ("locust-master", "locust-worker", "kit-test-faults"))
    assert named(evidence) == [FAULTS[name].cause]


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in NEEDS_DEFAULT_PORTS])
def test_other_ports_change_nothing(name: str) -> None:
    assert named(with_other_ports(renamed(recorded(name)))) == [FAULTS[name].cause]
