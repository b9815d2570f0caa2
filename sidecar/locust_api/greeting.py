"""Check whether a Locust master answers at an address, and what prevents it."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from sidecar.common.errors import StackError
from sidecar.settings.addresses import shown

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT_SECONDS, GREETING_SECONDS = 5.0, 5.0
_GREETING = b"\xff"  # ZeroMQ's first byte, which a master sends at once
_NO_ROUTE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})


def at(
    host: str, port: int, connect: Callable[[tuple[str, int], float], socket.socket] = socket.create_connection
) -> None:
    """Connect, and wait for the greeting of a Locust master.

    Raises:
        StackError: one line on what answered instead, and what to do.

    """
    place = shown(host, port)
    try:
        with connect((host, port), CONNECT_SECONDS) as line:
            line.settimeout(GREETING_SECONDS)
            first = _first_byte(line)
    except OSError as error:
        raise _unreached(error, host, port) from None
    if first == b"":
        raise StackError(
            f"the master at {place} closed the connection at once: its REMOTE_ALLOW lacks this machine's address, "
            "or the master is not running",
            fix="make diagnose on that machine: it shows the refused address",
        )
    if first != _GREETING:
        seen = "does not answer" if first is None else "is not a Locust master"
        raise StackError(f"the service at {place} {seen}", fix="check MASTER; make ps on that machine")


def _first_byte(line: socket.socket) -> bytes | None:
    """Return the first byte; empty if the other side closes, None if nothing comes in time."""
    try:
        return line.recv(1)
    except TimeoutError:
        return None
    except ConnectionError:
        return b""


def _unreached(error: OSError, host: str, port: int) -> StackError:
    if isinstance(error, socket.gaierror):
        return StackError(f"MASTER's name {host} cannot be resolved", fix="give its address: make join MASTER=10.0.0.5")
    if isinstance(error, ConnectionRefusedError):
        return StackError(
            f"nothing listens at {host}, port {port}", fix=f"make up REMOTE_WORKERS={host} on that machine"
        )
    if isinstance(error, TimeoutError) or error.errno in _NO_ROUTE:
        said = "no answer within 5 s" if isinstance(error, TimeoutError) else str(error.strerror)
        return StackError(
            f"the master at {host}, port {port}, cannot be reached: {said}",
            fix=f"check MASTER; allow TCP port {port} between the two machines",
        )
    return StackError(f"the master at {host}, port {port}, cannot be reached: {error.strerror or error}")
