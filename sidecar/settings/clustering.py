"""The settings of a stack on many machines."""

from __future__ import annotations

import re

from sidecar.settings import parse
from sidecar.settings.setting import Setting

_REGISTRY = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?(?:/[a-z0-9._/-]*[a-z0-9])?")
_WAY = re.compile(r"(?:(?:ssh|tcp|unix)://)?[A-Za-z0-9/][A-Za-z0-9_.:@/\[\]-]*")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def registry(raw: str) -> str:
    """Where images are pushed: a host, with its port and a path where it needs them."""
    text = raw.rstrip("/")
    if text and not _REGISTRY.fullmatch(text):
        raise ValueError("host[:port][/path] in small letters, such as registry.example:5000/load")
    return text


def ways(raw: str) -> tuple[str, ...]:
    """Contexts or URLs of engines, by commas or blanks."""
    found = tuple(filter(None, re.split(r"[,\s]+", raw.strip())))
    for one in found:
        if not _WAY.fullmatch(one):
            raise ValueError(f"docker contexts or URLs such as ssh://user@host, by commas; not {one!r}")
    return found


def node(raw: str) -> str:
    """A node's name."""
    if raw and not _NODE.fullmatch(raw):
        raise ValueError("the name of a node, as `docker node ls` shows it")
    return raw


CLUSTERING = (
    Setting(
        "REGISTRY",
        "",
        "host[:port][/path]",
        "Where swarm-up pushes the images, and every node pulls them.",
        "The nodes must be able to reach it, and to log in.",
        registry,
    ),
    Setting(
        "SWARM_NODES",
        "",
        "contexts or hosts",
        "Without a registry: a docker context or ssh://user@host of each other node, to load images there.",
        "About 90 MB a node, once for each change.",
        ways,
    ),
    Setting(
        "SWARM_MASTER_NODE",
        "",
        "node",
        "The node that the master stays on; otherwise Swarm chooses, and moves it when that node fails.",
        "Nothing runs while that node is down.",
        node,
    ),
    Setting(
        "SWARM_ENCRYPTED",
        "0",
        "1 or 0",
        "Encrypt what goes between the nodes (IPsec).",
        "Processor time on every node; IP protocol 50 must be open between them.",
        parse.boolean,
    ),
)
