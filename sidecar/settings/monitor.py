"""What the serving monitor is told by its environment."""

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
_SOURCE = "environment of the sidecar"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """This machine's name in the cluster, the token that opens every sidecar of it, and where all of them are.

    `peers` is the name that resolves to all of them, `port` where each answers.
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
    """Declare a setting of the host's as one of the monitor's too; `parser` refuses what only the monitor cannot do."""
    declared = SETTINGS[name]
    declared = replace(declared, parse=parser or declared.parse)
    return field(default=declared.value(), metadata={"setting": declared})


@dataclass(frozen=True)
class WatchSettings(WatchingSettings, AlertSettings):
    """Settings of one monitor: what it watches, how often, where it answers, and whom it tells.

    The host's settings that end here, and the container's own variables. `beat_file` is touched after each round, for
    the container's health check; "" touches nothing. `cluster` is None where one engine runs everything.
    """

    project: str = _shared("PROJECT")
    interval: float = _shared("INTERVAL")
    tail: int = _shared("TAIL", partial(parse.whole, 0, _MOST_TAIL))
    fail_ratio: float = _shared("FAIL_RATIO")
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
    """Read the settings from variables named as the settings are; an empty variable is unset.

    CLUSTER_NODE makes it one of a cluster's monitors, with the secret CLUSTER_TOKEN.
    A secret NAME may stand in a file that NAME_FILE names, as in Docker's own images.

    Raises:
        SettingError: a value that cannot be, or a secret's file that cannot be read. Never quotes a secret.
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
        raise SettingError(f"WATCH_PROJECT is {settings.watch_project!r}, which is this stack itself", where=_SOURCE)
    return replace(settings, cluster=_cluster(given, settings.listen[1]))


def _cluster(given: Mapping[str, str], port: int) -> ClusterSettings | None:
    node = given.get("CLUSTER_NODE")
    if node is None:
        return None
    token = _secret(given, "CLUSTER_TOKEN")
    if not token:
        raise SettingError("CLUSTER_TOKEN is empty", wanted="the secret that `make swarm-up` makes", where=_SOURCE)
    return ClusterSettings(node, token, port=port)


def _secret(given: Mapping[str, str], name: str) -> str:
    """Return the value of NAME, else what the file that NAME_FILE names holds, without the newline at its end."""
    path = given.get(f"{name}_FILE")
    if name in given or path is None:
        return given.get(name, "")
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise SettingError(f"{name}_FILE is {path!r}, which cannot be read: {reason}", where=_SOURCE) from None
