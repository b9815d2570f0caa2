"""Turn the text of a setting about network addresses into its value. Pure, as all parsers are."""

from __future__ import annotations

import ipaddress
import re

from sidecar.settings.parse import names

LOCUST_PORT = 5557
_NAME = re.compile(r"(?!-)[A-Za-z0-9_.-]{1,253}")
_HIGHEST_PORT = 65535
_WANTED_MASTER = "an address or a name, with a port where it is not 5557, such as 10.0.0.5 or [2001:db8::5]:5557"


def own_address(raw: str) -> str:
    """One IP address without a port; "" for none."""
    if not raw:
        return ""
    try:
        return str(ipaddress.ip_address(raw.strip("[]")))
    except ValueError:
        raise ValueError(
            "an IPv4 or IPv6 address of this machine, without a name and without a port, such as 10.0.0.5"
        ) from None


def allow_list(raw: str) -> tuple[str, ...]:
    """Addresses and networks, divided by commas or blanks; each once, as they are written for short."""
    found = []
    for word in names(raw):
        try:
            network = ipaddress.ip_network(word, strict=False)
        except ValueError:
            raise ValueError(f"addresses and networks, such as 10.0.0.7,10.1.0.0/16; {word} is none") from None
        found.append(str(network.network_address if network.num_addresses == 1 else network))
    return tuple(dict.fromkeys(found))


def place_of_master(raw: str) -> tuple[str, int] | None:
    """Host and port of a master; None for none. An IPv6 address with a port stands in brackets."""
    if not raw:
        return None
    host, port = _parted(raw)
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT):
        raise ValueError(_WANTED_MASTER)
    if not (_NAME.fullmatch(host) or _is_address(host)):
        raise ValueError(_WANTED_MASTER)
    return host, int(port)


def shown(host: str, port: int) -> str:
    """A place as it is written: the port only where it is not Locust's own, an IPv6 address in brackets before it."""
    if port == LOCUST_PORT:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parted(raw: str) -> tuple[str, str]:
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", raw)
    if bracketed:
        return bracketed[1], bracketed[2] or str(LOCUST_PORT)
    if raw.count(":") == 1:
        host, _, port = raw.partition(":")
        return host, port
    return raw, str(LOCUST_PORT)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
