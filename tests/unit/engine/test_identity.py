"""Whose container it is: Compose's labels, Swarm's, and an image's that are neither."""

from __future__ import annotations

import pytest

from sidecar.engine.labels import owner
from sidecar.model.signal import Owner

COMPOSE = {
    "com.docker.compose.project": "locust",
    "com.docker.compose.service": "locust-worker",
    "com.docker.compose.container-number": "3",
}
IMAGE = {"com.docker.compose.project": "elsewhere", "com.docker.compose.service": "locust-master"}
TASK = {
    "com.docker.stack.namespace": "locust",
    "com.docker.swarm.service.name": "locust_locust-worker",
    "com.docker.swarm.task.name": "locust_locust-worker.12.6iwndzx2iowejcqgq1m9avggz",
}
GLOBAL = {
    "com.docker.stack.namespace": "locust",
    "com.docker.swarm.service.name": "locust_monitor",
    "com.docker.swarm.task.name": "locust_monitor.p7ql8mnoj6ik3pqylq9h8prec.xt13lba0dnxciojmsxcplqg77",
}


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (COMPOSE, Owner("name", "locust", "locust-worker", 3)),
        (TASK, Owner("locust-locust-worker-12", "locust", "locust-worker", 12)),
        ({**IMAGE, **TASK}, Owner("locust-locust-worker-12", "locust", "locust-worker", 12)),
        ({**IMAGE, **GLOBAL}, Owner("locust-monitor-p7ql8", "locust", "monitor", 1)),
        ({}, Owner("name", None, None, None)),
        ({"com.docker.swarm.service.name": "lone"}, Owner("lone", None, "lone", 1)),
        (
            {**TASK, "com.docker.swarm.task.name": "\x1b[2J"},
            Owner("locust-locust-worker", "locust", "locust-worker", 1),
        ),
    ],
    ids=["compose", "task", "its image has Compose's", "one a node", "nobody's", "no stack", "odd"],
)
def test_a_container_is_known_by_its_labels(labels: dict[str, str], found: Owner) -> None:
    told = owner("/name", labels)
    assert (told.project, told.service, told.index) == (found.project, found.service, found.index)
    assert told.name.startswith(found.name)
