"""What the serving sidecar is told by its environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from sidecar.common.errors import SettingError
from sidecar.model.incident import IncidentKind
from sidecar.settings import parse
from sidecar.settings.peers import ClusterSettings
from sidecar.settings.watching import (
    ALERT_KINDS,
    LARGEST_LEDGER_MEGABYTES,
    LONGEST_COOLDOWN_SECONDS,
    LONGEST_LEDGER_DAYS,
    SMALLEST_LEDGER_MEGABYTES,
)

_LEAST_INTERVAL_SECONDS = 0.5
_MOST_INTERVAL_SECONDS = 3600.0
_MOST_TAIL = 1000
_MOST_PORT = 65535
_WHERE = "environment of the sidecar"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Settings of one sidecar: what it watches, how often, where it answers, and whom it tells.

    `beat_file` is touched after each round, for the container's health check; "" touches nothing. `watch_project` is
    the other Compose project in the view, "" for none. `fail_ratio` decides a run's verdict, `fail_threshold` when
    failures become an incident; both are shares from 0 to 1. `health_seconds` is how often everything is asked whether
    it answers, 0 for never; `health_target` whether the target is, too, and `health_urls` (name, URL) what else.
    `alert_urls` and `locust_password` are secrets. `cluster` is None where one engine runs everything.
    """

    project: str = "locust"
    interval_seconds: float = 2.0
    tail: int = 5
    docker_url: str = "unix:///run/docker-proxy/docker.sock"
    locust_url: str = "http://locust-master:8089"
    host_net_dev: str = "/proc/net/dev"
    beat_file: str = ""
    listen_host: str = "0.0.0.0"  # noqa: S104  # inside its container; Compose publishes it on 127.0.0.1 only
    listen_port: int = 8090
    watch_project: str = ""
    fail_ratio: float = 0.0
    fail_threshold: float = 0.05
    ledger_folder: str = "/var/lib/locust-kit/ledger"
    runs_folder: str = "/var/lib/locust-kit/runs"
    ledger_days: int = 30
    ledger_megabytes: int = 512
    cgroup_root: str = "/host/cgroup"
    health_seconds: float = 10.0
    health_target: bool = True
    health_urls: tuple[tuple[str, str], ...] = ()
    locust_username: str = ""
    locust_password: str = field(default="", repr=False)
    alert_urls: tuple[str, ...] = field(default=(), repr=False)
    alert_kinds: tuple[IncidentKind, ...] = ALERT_KINDS
    alert_cooldown_seconds: int = 300
    cluster: ClusterSettings | None = None


def _read_file(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def from_environment(environ: Mapping[str, str], read_file: Callable[[str], str] = _read_file) -> WatchSettings:
    """Read the settings from variables named as the settings are; an empty variable is unset.

    DOCKER_HOST, LOCUST_URL, HOST_NET_DEV, BEAT_FILE, LISTEN, LEDGER_FOLDER, RUNS_FOLDER and CGROUP_ROOT are the
    container's own; so is CLUSTER_NODE, which makes it one of a cluster's, with the secret CLUSTER_TOKEN.
    A secret NAME may stand in a file that NAME_FILE names, as in Docker's own images.

    Raises:
        SettingError: a value that cannot be, or a secret's file that cannot be read. Never quotes a secret.
    """
    default = WatchSettings()
    given = {name: value for name, value in environ.items() if value}
    listen_host, listen_port = _listen(given.get("LISTEN"), default)
    settings = WatchSettings(
        project=given.get("PROJECT", default.project),
        interval_seconds=_interval(given.get("INTERVAL"), default.interval_seconds),
        tail=_whole(given.get("TAIL"), "TAIL", default.tail, _MOST_TAIL),
        docker_url=given.get("DOCKER_HOST", default.docker_url),
        locust_url=given.get("LOCUST_URL", default.locust_url).rstrip("/"),
        host_net_dev=given.get("HOST_NET_DEV", default.host_net_dev),
        beat_file=given.get("BEAT_FILE", default.beat_file),
        listen_host=listen_host,
        listen_port=listen_port,
        watch_project=_parsed(given, "WATCH_PROJECT", parse.project, default.watch_project),
        fail_ratio=_parsed(given, "FAIL_RATIO", parse.ratio, default.fail_ratio),
        fail_threshold=_parsed(given, "FAIL_THRESHOLD", parse.share, default.fail_threshold),
        ledger_folder=given.get("LEDGER_FOLDER", default.ledger_folder),
        runs_folder=given.get("RUNS_FOLDER", default.runs_folder),
        ledger_days=_parsed(given, "LEDGER_DAYS", partial(parse.whole, 1, LONGEST_LEDGER_DAYS), default.ledger_days),
        ledger_megabytes=_parsed(
            given,
            "LEDGER_MEGABYTES",
            partial(parse.whole, SMALLEST_LEDGER_MEGABYTES, LARGEST_LEDGER_MEGABYTES),
            default.ledger_megabytes,
        ),
        cgroup_root=given.get("CGROUP_ROOT", default.cgroup_root),
        health_seconds=_parsed(given, "HEALTH_SECONDS", partial(parse.whole, 0, 3600), default.health_seconds),
        health_target=_parsed(given, "HEALTH_TARGET", parse.boolean, default.health_target),
        health_urls=_parsed(given, "HEALTH_URLS", parse.named_urls, default.health_urls),
        locust_username=given.get("LOCUST_WEB_USERNAME", default.locust_username),
        locust_password=_secret(given, "LOCUST_WEB_PASSWORD", read_file),
        alert_urls=_alert_urls(_secret(given, "ALERT_URLS", read_file)),
        alert_kinds=_parsed(given, "ALERT_KINDS", _kinds, default.alert_kinds),
        alert_cooldown_seconds=_parsed(
            given,
            "ALERT_COOLDOWN_SECONDS",
            partial(parse.whole, 0, LONGEST_COOLDOWN_SECONDS),
            default.alert_cooldown_seconds,
        ),
        cluster=_cluster(given, read_file, listen_port),
    )
    if settings.watch_project == settings.project:
        raise SettingError(f"WATCH_PROJECT is {settings.watch_project!r}, which is this stack itself", where=_WHERE)
    return settings


def _cluster(given: Mapping[str, str], read_file: Callable[[str], str], listen_port: int) -> ClusterSettings | None:
    node = given.get("CLUSTER_NODE")
    if node is None:
        return None
    token = _secret(given, "CLUSTER_TOKEN", read_file)
    if not token:
        raise SettingError("CLUSTER_TOKEN is empty", wanted="the secret that `make swarm-up` makes", where=_WHERE)
    return ClusterSettings(node, token, port=listen_port)


def _parsed(given: Mapping[str, str], name: str, parser: Callable[[str], T], default: T) -> T:
    if name not in given:
        return default
    try:
        return parser(given[name].strip())
    except ValueError as error:
        raise SettingError(f"{name} is {given[name]!r}", wanted=str(error), where=_WHERE) from None


def _kinds(raw: str) -> tuple[IncidentKind, ...]:
    return tuple(IncidentKind(name) for name in parse.choices(tuple(IncidentKind), raw))


def _alert_urls(raw: str) -> tuple[str, ...]:
    try:
        return parse.alert_urls(raw)
    except ValueError as error:
        raise SettingError("ALERT_URLS cannot be used", wanted=str(error), where=_WHERE) from None


def _secret(given: Mapping[str, str], name: str, read_file: Callable[[str], str]) -> str:
    """The value of NAME, else what the file that NAME_FILE names holds, without the newline at its end."""
    path = given.get(f"{name}_FILE")
    if name in given or path is None:
        return given.get(name, "")
    try:
        return read_file(path).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise SettingError(f"{name}_FILE is {path!r}, which cannot be read: {reason}", where=_WHERE) from None


def _interval(text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not _LEAST_INTERVAL_SECONDS <= seconds <= _MOST_INTERVAL_SECONDS:
        wanted = f"seconds from {_LEAST_INTERVAL_SECONDS:g} to {_MOST_INTERVAL_SECONDS:g}"
        raise SettingError(f"INTERVAL is {text!r}", wanted=wanted, where=_WHERE)
    return seconds


def _whole(text: str | None, name: str, default: int, most: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or int(text) > most:
        raise SettingError(f"{name} is {text!r}", wanted=f"a whole number from 0 to {most}", where=_WHERE)
    return int(text)


def _listen(text: str | None, default: WatchSettings) -> tuple[str, int]:
    if text is None:
        return default.listen_host, default.listen_port
    host, _, port = text.rpartition(":")
    if not host:
        raise SettingError(f"LISTEN is {text!r}", wanted="address:port", where=_WHERE)
    return host.strip("[]"), _whole(port, "LISTEN", default.listen_port, _MOST_PORT)
