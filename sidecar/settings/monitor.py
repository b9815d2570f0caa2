"""The settings that the monitor reads from its environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from sidecar.common.errors import SettingError
from sidecar.settings import parse
from sidecar.settings.declarations import AlertSettings, WatchingSettings
from sidecar.settings.model import SETTINGS
from sidecar.settings.setting import Kind, Setting, setting, text

PEERS = "tasks.monitor"
MASTER_PORT = 5557
_MOST_TAIL = 1000
_MOST_PORT = 65535
_SOURCE = "environment of the monitor"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """This machine's name in the cluster, the token for every monitor of the cluster, and their address.

    `peers` is the name that resolves to all monitors, `port` the port of each.
    """

    node: str
    token: str = field(repr=False)
    peers: str = PEERS
    port: int = 8090


def _listen(raw: str) -> tuple[str, int]:
    host, _, port = raw.rpartition(":")
    if not host:
        raise ValueError("address:port")
    return host.strip("[]"), parse.whole(0, _MOST_PORT, port)


def _shared(name: str, parser: Callable[[str], object] | None = None) -> Any:  # noqa: ANN401  as `field` does
    """Declare a setting of the host for the monitor, too; `parser` refuses what only the monitor cannot do."""
    declared = SETTINGS[name]
    declared = replace(declared, parse=parser or declared.parse)
    return field(default=declared.value(), metadata={"setting": declared})


@dataclass(frozen=True)
class WatchSettings(WatchingSettings, AlertSettings):
    """Settings of one monitor: what it watches, how often, where it listens, and where it sends alerts.

    They are the host's settings for the monitor, and the container's own variables. It touches `beat_file` after each
    round, for the container's health check; "" means no file. `cluster` is None if one engine runs everything.
    """

    project: str = _shared("PROJECT")
    interval: float = _shared("INTERVAL")
    tail: int = _shared("TAIL", partial(parse.whole, 0, _MOST_TAIL))
    fail_ratio: float = _shared("FAIL_RATIO")
    web_hosts: tuple[str, ...] = _shared("WEB_HOSTS")
    docker_url: str = setting("DOCKER_HOST=unix:///run/docker-proxy/docker.sock", text("URL"), "The engine.")
    locust_url: str = setting(
        "LOCUST_URL=http://locust-master:8089", Kind("URL", lambda raw: raw.rstrip("/")), "The master's web API."
    )
    host_net_dev: str = setting("HOST_NET_DEV=/proc/net/dev", text("file"), "The host's network counters.")
    beat_file: str = setting("BEAT_FILE=", text("file"), "What each round touches.")
    # Inside its container; Compose publishes it on 127.0.0.1 only.
    listen: tuple[str, int] = setting("LISTEN=0.0.0.0:8090", Kind("address:port", _listen), "Where the page answers.")
    ledger_folder: str = setting("LEDGER_FOLDER=/var/lib/locust-kit/ledger", text("folder"), "The ledger.")
    runs_folder: str = setting("RUNS_FOLDER=/var/lib/locust-kit/runs", text("folder"), "The runs.")
    cgroup_root: str = setting("CGROUP_ROOT=/host/cgroup", text("folder"), "The host's cgroup tree.")
    cluster: ClusterSettings | None = None


def from_environment(environ: Mapping[str, str]) -> WatchSettings:
    """Read the settings from variables of the same names. An empty variable counts as unset.

    CLUSTER_NODE makes it a monitor of a cluster, with the secret CLUSTER_TOKEN.
    NAME_FILE may name a file with the secret NAME, as in Docker's own images.

    Raises:
        SettingError: a value is invalid, or a secret's file cannot be read. It never quotes a secret.
    """
    given = {name: value for name, value in environ.items() if value}
    declared: dict[str, Setting] = {
        item.name: item.metadata["setting"] for item in fields(WatchSettings) if "setting" in item.metadata
    }
    values: dict[str, Any] = {
        name: entry.value(_secret(given, entry.name) if entry.secret else given.get(entry.name, "").strip(), _SOURCE)
        for name, entry in declared.items()
    }
    settings = WatchSettings(**values)
    if settings.watch_project == settings.project:
        raise SettingError(f"WATCH_PROJECT is {settings.watch_project!r}, the name of this stack", where=_SOURCE)
    return replace(settings, cluster=_cluster(given, settings.listen[1]))


def _cluster(given: Mapping[str, str], port: int) -> ClusterSettings | None:
    node = given.get("CLUSTER_NODE")
    if node is None:
        return None
    token = _secret(given, "CLUSTER_TOKEN")
    if not token:
        raise SettingError("CLUSTER_TOKEN is empty", wanted="the secret that `make swarm-up` creates", where=_SOURCE)
    return ClusterSettings(node, token, port=port)


def _secret(given: Mapping[str, str], name: str) -> str:
    """Return the value of NAME, or the content of the file in NAME_FILE without its last newline."""
    path = given.get(f"{name}_FILE")
    if name in given or path is None:
        return given.get(name, "")
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise SettingError(f"{name}_FILE is {path!r}; the file cannot be read: {reason}", where=_SOURCE) from None
