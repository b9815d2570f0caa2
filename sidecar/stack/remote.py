"""Workers of other machines, on the master's side: the published address, and the text about it."""

from __future__ import annotations

import ipaddress
import shlex
import socket
from collections.abc import Callable, Sequence

from sidecar.common.errors import SettingError, StackError
from sidecar.engine.docker_engine import ListedContainer
from sidecar.settings import SETTINGS, Destination, Settings
from sidecar.settings.addresses import LOCUST_PORT
from sidecar.stack import ports

GATE = "gate"
_FAR_AWAY = {
    socket.AF_INET: "192.0.2.1",
    socket.AF_INET6: "2001:db8::1",
}  # an address for documentation; nothing is sent there


def check(settings: Settings, containers: Sequence[ListedContainer]) -> None:
    """Refuse an address that cannot be published for workers of other machines.

    Raises:
        SettingError: this machine does not have the address, or MASTER is set, which is for `join`.
        StackError: port 5557 is in use there.

    """
    if settings.said_now("MASTER"):
        raise SettingError(
            "MASTER is the master of another machine, but `up` starts a master on this machine",
            fix="make join MASTER=..., or make up without MASTER",
        )
    address = settings.remote_workers
    if not address:
        return
    if not is_own(address):
        entry = settings.given.get("REMOTE_WORKERS")
        raise SettingError(
            f"REMOTE_WORKERS is {address}, but no interface of this machine has this address",
            where=entry.source if entry else "",
            wanted="an address that `ip addr` shows",
        )
    holder = ports.holder_of(LOCUST_PORT, containers, address)
    if holder and not (holder.container and holder.container.project == settings.project):
        raise StackError(
            f"port {LOCUST_PORT} of {address} (REMOTE_WORKERS) is in use by {holder.text}",
            fix="stop it, or use another address of this machine",
        )


def is_own(address: str) -> bool:
    """Return whether a socket can be bound to an address, so that it belongs to this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True


def usual_address(family: socket.AddressFamily) -> str:
    """Return the address from which this machine reaches others; a placeholder without a route."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.connect((_FAR_AWAY[family], 9))
            return str(trial.getsockname()[0])
    except OSError:
        return "<an address of this machine>"


def lines(settings: Settings, *, mock: bool, usual: Callable[[socket.AddressFamily], str] = usual_address) -> list[str]:
    """Return the text of `up` about the published port: the command for the other machine, and the risk."""
    address = settings.remote_workers
    if not address:
        return []
    everywhere = ipaddress.ip_address(address).is_unspecified
    reached = usual(socket.AF_INET6 if ":" in address else socket.AF_INET) if everywhere else address
    text = [
        "",
        "  To add workers of another machine, run this there (same version of the kit, same locustfiles and .env):",
        f"  {join_command(settings, reached)}",
        *_warning(settings, everywhere=everywhere),
    ]
    if mock:
        text.append("  The mock target runs in this machine's stack only. Workers of other machines cannot reach it.")
    return text


def join_command(settings: Settings, address: str) -> str:
    """Return the command for the other machine, with the settings that must be the same on both sides."""
    shared = [
        f"{name}={entry.raw}"
        for name, entry in settings.given.items()
        if Destination.LOCUST in SETTINGS[name].to and entry.raw and not entry.is_of_a_file
    ]
    quoted = (shlex.quote(word.replace("$", "$$")) for word in shared)
    return " ".join(["make setup join", f"MASTER={address}", "WORKERS=4", *quoted])


def _warning(settings: Settings, *, everywhere: bool) -> list[str]:
    place = f"{LOCUST_PORT} on {settings.remote_workers}"
    allow = ", ".join(settings.remote_allow)
    who = f"only {allow} (REMOTE_ALLOW)" if allow else "everyone who reaches it (REMOTE_ALLOW=10.0.0.7 restricts that)"
    text = [
        "",
        f"  Port {place} has no password and no encryption: whoever connects can read the test and send false figures.",
        f"  Who can connect: {who}. Keep the port inside a private network.",
    ]
    if everywhere:
        text.append(
            "  It is open on EVERY network of this machine, public ones too. Set REMOTE_WORKERS to one address instead."
        )
    return text
