"""Workers of other machines, on the master's side: the published address, and the text about it."""

from __future__ import annotations

import ipaddress
import shlex
import socket
import sys
from collections.abc import Callable, Sequence

from sidecar.common.errors import SettingError, StackError
from sidecar.engine.docker_engine import ListedContainer
from sidecar.settings import SETTINGS, Destination, Settings
from sidecar.settings.addresses import LOCUST_PORT, admits_everyone
from sidecar.stack import ports

GATE = "gate"
EVERYONE = "0.0.0.0/0,::/0"
_RISK = f"anyone who reaches port {LOCUST_PORT} can join as a worker"
# Addresses for documentation; nothing is sent there.
_FAR_AWAY = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def check(settings: Settings, containers: Sequence[ListedContainer]) -> None:
    """Refuse an address that cannot be published for workers of other machines. Ask before it is open to everyone.

    Raises:
        SettingError: this machine does not have the address, MASTER is set, which is for `join`, or nobody agreed that
            everyone may connect.
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
    if not settings.remote_allow and not _agreed(settings):
        raise SettingError(
            f"REMOTE_WORKERS is {address}, but REMOTE_ALLOW is empty, so {_RISK}",
            fix=f"make up REMOTE_ALLOW=10.0.0.7,10.1.0.0/16 with the other machines, or REMOTE_ALLOW={EVERYONE}",
        )


def _agreed(settings: Settings) -> bool:
    """Ask the person at the terminal whether everyone may connect. Without a terminal, nobody agrees."""
    if settings.yes or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return settings.yes
    print(f"REMOTE_ALLOW is empty, so {_RISK}.")
    question = f"Open port {LOCUST_PORT} of {settings.remote_workers} to everyone? [y/N] "
    return input(question).strip().lower() in ("y", "yes")


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
    who = f"only {', '.join(settings.remote_allow)} (REMOTE_ALLOW)"
    if admits_everyone(settings.remote_allow):
        who = "everyone who reaches it (REMOTE_ALLOW=10.0.0.7 restricts that)"
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
