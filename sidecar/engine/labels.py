"""The owner of a container, from its labels: Compose's, or those of a Docker Swarm task. Pure.

A container inherits its image's labels, and Compose labels the images that it builds with their project. So a container
without a number of its own belongs to no project. Swarm's own labels come first. A task gets the name that Compose
would give it (`locust-locust-worker-3`), because Swarm's names end in 25 random characters.
"""

from __future__ import annotations

from sidecar.common.visible_text import visible
from sidecar.engine.fields import Payload, label, label_number
from sidecar.model.signal import Owner

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
NUMBER_LABEL = "com.docker.compose.container-number"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
ROLE_LABEL = "io.locust-kit.role"
STACK_LABEL = "com.docker.stack.namespace"
TASK_LABEL = "com.docker.swarm.task.name"
SWARM_SERVICE_LABEL = "com.docker.swarm.service.name"

_NODE_CHARACTERS = 5  # of a node's id, in the name of a task that runs on every node
_MOST_DIGITS = 6  # of a slot


def owner(name: str, labels: Payload) -> Owner:
    """Read an owner from a container's name, with or without its slash, and its labels.

    The project is Swarm's stack, if there is one. An event has the labels among its attributes.
    """
    if SWARM_SERVICE_LABEL in labels:
        return _of_task(labels)
    of_compose = NUMBER_LABEL in labels  # otherwise Compose built its image, and somebody else started it
    return Owner(
        visible(name.lstrip("/")),
        (of_compose and visible(label(labels, PROJECT_LABEL))) or None,
        (of_compose and visible(label(labels, SERVICE_LABEL))) or None,
        label_number(labels, NUMBER_LABEL),
        is_helper(labels),
    )


def _of_task(labels: Payload) -> Owner:
    stack = visible(label(labels, STACK_LABEL))
    whole = visible(label(labels, SWARM_SERVICE_LABEL))
    service = whole.removeprefix(f"{stack}_")
    slot = visible(label(labels, TASK_LABEL)).removeprefix(f"{whole}.").partition(".")[0]
    numbered = slot.isascii() and slot.isdigit() and len(slot) <= _MOST_DIGITS
    place = slot if numbered else slot[:_NODE_CHARACTERS]
    name = "-".join(filter(None, (stack, service, place)))
    return Owner(name, stack or None, service, int(slot) if numbered else 1, is_helper(labels))


def is_helper(labels: Payload) -> bool:
    """Return whether the labels are a one-off container's, or those of one of the kit's own probes."""
    return label(labels, ONE_OFF_LABEL).lower() == "true" or ROLE_LABEL in labels
