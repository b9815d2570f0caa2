"""What the serving sidecar is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.errors import SettingError

_LEAST_INTERVAL_SECONDS = 0.5
_MOST_INTERVAL_SECONDS = 3600.0
_MOST_TAIL = 1000
_MOST_PORT = 65535


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Settings of one sidecar: what it watches, how often, and where it answers.

    `beat_file` is touched after each round, for the container's health check; "" touches nothing.
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


def from_environment(environ: Mapping[str, str]) -> WatchSettings:
    """Read PROJECT, INTERVAL, TAIL, DOCKER_HOST, LOCUST_URL, HOST_NET_DEV, BEAT_FILE, LISTEN; an empty one is unset.

    Raises:
        SettingError: a value that cannot be.
    """
    default = WatchSettings()
    given = {name: value for name, value in environ.items() if value}
    listen_host, listen_port = _listen(given.get("LISTEN"), default)
    return WatchSettings(
        project=given.get("PROJECT", default.project),
        interval_seconds=_interval(given.get("INTERVAL"), default.interval_seconds),
        tail=_whole(given.get("TAIL"), "TAIL", default.tail, _MOST_TAIL),
        docker_url=given.get("DOCKER_HOST", default.docker_url),
        locust_url=given.get("LOCUST_URL", default.locust_url).rstrip("/"),
        host_net_dev=given.get("HOST_NET_DEV", default.host_net_dev),
        beat_file=given.get("BEAT_FILE", default.beat_file),
        listen_host=listen_host,
        listen_port=listen_port,
    )


def _interval(text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not _LEAST_INTERVAL_SECONDS <= seconds <= _MOST_INTERVAL_SECONDS:
        wanted = f"seconds from {_LEAST_INTERVAL_SECONDS:g} to {_MOST_INTERVAL_SECONDS:g}"
        raise SettingError(f"INTERVAL is {text!r}", wanted=wanted, where="environment of the sidecar")
    return seconds


def _whole(text: str | None, name: str, default: int, most: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or int(text) > most:
        raise SettingError(
            f"{name} is {text!r}", wanted=f"a whole number from 0 to {most}", where="environment of the sidecar"
        )
    return int(text)


def _listen(text: str | None, default: WatchSettings) -> tuple[str, int]:
    if text is None:
        return default.listen_host, default.listen_port
    host, _, port = text.rpartition(":")
    if not host:
        raise SettingError(f"LISTEN is {text!r}", wanted="address:port", where="environment of the sidecar")
    return host.strip("[]"), _whole(port, "LISTEN", default.listen_port, _MOST_PORT)
