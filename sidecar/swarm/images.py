"""Bring the images of a stack to every node: name them by their content, then push or copy them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.common.errors import SettingError, StackError
from sidecar.engine.docker_engine import DockerEngine
from sidecar.engine.swarm_manager import NodeFacts
from sidecar.settings import Settings
from sidecar.stack import images
from sidecar.stack.docker_command import docker, printed

KEYS = ("locust", "monitor", "docker-proxy", "mock-target")
_TAG_LENGTH = 12
_ASK_SECONDS, _CARRY_SECONDS = 20.0, 900.0


@dataclass(frozen=True, slots=True)
class Way:
    """The way of the docker command to one node's engine: a context's name, or a URL."""

    text: str

    @property
    def flags(self) -> list[str]:
        """Return the flags between `docker` and the verb."""
        return ["--host", self.text] if "://" in self.text else ["--context", self.text]


def names(settings: Settings, engine: DockerEngine, locust_image: str) -> dict[str, str]:
    """Return the name of each image in the cluster. Its tag is the image's id, so a new image has a new name.

    The user's own image (LOCUST_IMAGE), or an image in a registry, keeps its name.
    """
    prefix = f"{settings.registry}/" if settings.registry else ""
    tags = {}
    for key in KEYS:
        local = locust_image if key == "locust" and locust_image else images.IMAGES[key].name
        if local == settings.locust_image:
            tags[key] = local
            continue
        about = engine.image(local) or {}
        digest = str(about.get("Id", "")).removeprefix("sha256:")[:_TAG_LENGTH]
        if not digest:
            raise StackError(f"the image {local} is not on this machine", fix="make swarm-up")
        repository = local.partition(":")[0]
        tags[key] = f"{prefix}{repository}:{digest}"
        printed("tag", local, tags[key], what=f"tagging {tags[key]}")
    return tags


def push(wanted: Sequence[str]) -> None:
    """Push images to the registry in their names."""
    for name in wanted:
        printed("push", "--quiet", name, what=f"pushing {name}", seconds=_CARRY_SECONDS)


def ways_to(settings: Settings, nodes: Sequence[NodeFacts], own: str) -> Mapping[str, Way]:
    """Return the way to each node's engine in SWARM_NODES, by node id.

    Raises:
        SettingError: an entry does not answer or is not a node of this Swarm, or a node has no entry.

    """
    known = {node.id: node.name for node in nodes}
    ways: dict[str, Way] = {}
    for text in settings.swarm_nodes:
        way = Way(text)
        about = printed(
            *way.flags,
            "info",
            "--format",
            "{{json .Swarm}}",
            what=f"docker info at {text} (SWARM_NODES)",
            seconds=_ASK_SECONDS,
        )
        node_id = str((json.loads(about) or {}).get("NodeID") or "")
        if node_id not in known:
            raise SettingError(
                f"SWARM_NODES contains {text!r}, which is not a node of this Swarm", fix="docker node ls"
            )
        ways[node_id] = way
    without = [node.name for node in nodes if node.takes_tasks and node.id != own and node.id not in ways]
    if without:
        raise SettingError(
            f"SWARM_NODES has no entry for {', '.join(without)}, so the images cannot be copied there",
            wanted="a docker context or ssh://user@host for each other node, or a registry",
            fix="make swarm-up SWARM_NODES=ssh://user@host,… (or REGISTRY=registry.example:5000)",
        )
    return ways


def carry(wanted: Sequence[str], ways: Mapping[str, Way]) -> int:
    """Copy missing images to each node; return how many nodes got some.

    Raises:
        StackError: a node could not load the images.

    """
    carried = 0
    for way in ways.values():
        missing = [name for name in wanted if not _has(way, name)]
        if not missing:
            continue
        carried += 1
        save = subprocess.Popen(["docker", "save", *missing], stdout=subprocess.PIPE)
        try:
            load = subprocess.run(
                ["docker", *way.flags, "load", "--quiet"],
                stdin=save.stdout,
                capture_output=True,
                text=True,
                timeout=_CARRY_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise StackError(f"{way.text} did not load the images within {_CARRY_SECONDS:.0f} s") from None
        finally:
            if save.stdout:
                save.stdout.close()
            save.wait()
        if load.returncode or save.returncode:
            raise StackError(f"{way.text} could not load the images: {(load.stderr or 'save failed').strip()}")
    return carried


def _has(way: Way, name: str) -> bool:
    what = f"docker image inspect {name} at {way.text}"
    asked = docker(*way.flags, "image", "inspect", "--format", "1", name, what=what, seconds=_ASK_SECONDS)
    return asked.returncode == 0
