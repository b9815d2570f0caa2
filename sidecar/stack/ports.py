"""The holder of a port that the stack publishes."""

from __future__ import annotations

import errno
import importlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.common.errors import StackError
from sidecar.engine.docker_engine import ListedContainer
from sidecar.settings import Settings

_LOOPBACK = "127.0.0.1"
_EVERYWHERE = frozenset({"0.0.0.0", "", "::"})  # noqa: S104  compared, never bound


def check(settings: Settings, containers: Sequence[ListedContainer]) -> None:
    """Refuse a port that is in use, except by this stack itself.

    Raises:
        StackError: names the port, the setting and the holder.

    """
    for setting, port in (("WEB_PORT", settings.web_port), ("MONITOR_PORT", settings.monitor_port)):
        holder = holder_of(port, containers)
        if holder is None or (holder.container and holder.container.project == settings.project):
            continue
        raise StackError(
            f"port {port} ({setting}) is in use by {holder.text}", fix=_fix(setting, port, holder.container)
        )


@dataclass(frozen=True)
class Holder:
    """The holder of a port; `container` if it is a container of this engine."""

    text: str
    container: ListedContainer | None = None


def holder_of(port: int, containers: Sequence[ListedContainer], address: str = _LOOPBACK) -> Holder | None:
    """Return the holder of a port at an address of this machine; None if the port is free."""
    container = container_on(port, containers, address)
    if container is not None:
        return Holder(_describe(container), container)
    return None if _is_free(port, address) else Holder(_process_on(port))


def container_on(port: int, containers: Sequence[ListedContainer], wanted: str = _LOOPBACK) -> ListedContainer | None:
    """Return the container that publishes a port at an address of this machine."""
    for container in containers:
        if any(
            number == port and (wanted in _EVERYWHERE or address in _EVERYWHERE or address == wanted)
            for address, number in container.ports
        ):
            return container
    return None


def _describe(holder: ListedContainer) -> str:
    of = f" of the stack {holder.project!r}" if holder.project else ""
    return f"the container {holder.name}{of}"


def _fix(setting: str, port: int, holder: ListedContainer | None) -> str:
    other = f"make up {setting}={port + 100 if port + 100 < 65536 else port - 100}"  # noqa: PLR2004  the end of TCP's ports
    if holder and holder.service == "locust-master":
        return f"{other}, or stop that stack: make down PROJECT={holder.project}"
    return other


def _is_free(port: int, address: str) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        try:
            trial.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            if error.errno in (errno.EACCES, errno.EPERM):  # a low port: the daemon may bind it, this user may not
                return True
            raise
    return True


def _process_on(port: int) -> str:
    psutil: Any = importlib.import_module("psutil")  # only needed to name the holder, slow to import, and untyped
    unseen = "a process that this user cannot see"
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return unseen
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            try:
                return f"the process {psutil.Process(connection.pid).name()} (pid {connection.pid})"
            except psutil.Error:
                return f"the process with pid {connection.pid}"
    return unseen
