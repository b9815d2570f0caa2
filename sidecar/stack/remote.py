"""Workers of other machines, on the master's side: the address that is opened for them, and what is said of it."""

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
_FAR_AWAY = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}  # documentation's; nothing is sent there


def check(settings: Settings, containers: Sequence[ListedContainer]) -> None:
    """Refuse an address that cannot be opened for workers of other machines.

    Raises:
        SettingError: it is no address of this machine, or MASTER was given, which is for `join`.
        StackError: somebody else holds port 5557 there.

    """
    if settings.said_now("MASTER"):
        raise SettingError(
            "MASTER names the master of another machine, and up starts one here",
            fix="make join MASTER=..., or make up without it",
        )
    address = settings.remote_workers
    if not address:
        return
    if not is_own(address):
        entry = settings.given.get("REMOTE_WORKERS")
        raise SettingError(
            f"REMOTE_WORKERS is {address}, which no interface of this machine has",
            where=entry.source if entry else "",
            wanted="an address that `ip addr` shows",
        )
    holder = ports.holder_of(LOCUST_PORT, containers, address)
    if holder and not (holder.container and holder.container.project == settings.project):
        raise StackError(
            f"port {LOCUST_PORT} of {address} (REMOTE_WORKERS) is taken by {holder.text}",
            fix="end that one, or name another address of this machine",
        )


def is_own(address: str) -> bool:
    """Return whether an address belongs to this machine: a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True


def usual_address(family: socket.AddressFamily) -> str:
    """Return the address from which this machine reaches others; a placeholder when it has no way out."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.connect((_FAR_AWAY[family], 9))
            return str(trial.getsockname()[0])
    except OSError:
        return "<an address of this machine>"


def lines(settings: Settings, *, mock: bool, usual: Callable[[socket.AddressFamily], str] = usual_address) -> list[str]:
    """Return what `up` says of an opened port: the command for the other machine, and what the port means."""
    address = settings.remote_workers
    if not address:
        return []
    everywhere = ipaddress.ip_address(address).is_unspecified
    reached = usual(socket.AF_INET6 if ":" in address else socket.AF_INET) if everywhere else address
    text = [
        "",
        "  Workers of other machines, from a checkout of this version with the same locustfiles and .env:",
        f"  {join_command(settings, reached)}",
        *_warning(settings, everywhere=everywhere),
    ]
    if mock:
        text.append("  The mock target is in this machine's stack alone: no worker of another machine reaches it.")
    return text


def join_command(settings: Settings, address: str) -> str:
    """Return the command for the other machine, with the settings that both sides must be told alike."""
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
    who = f"REMOTE_ALLOW lets in {allow}" if allow else "everybody who reaches it; REMOTE_ALLOW=10.0.0.7 names who may"
    text = [
        "",
        f"  Port {place} knows no password and no encryption: who gets in can read the test and give false figures.",
        f"  Who gets in: {who}. Keep it inside a private network.",
    ]
    if everywhere:
        text.append("  It is open on EVERY network of this machine, a public one too: name one address instead.")
    return text
