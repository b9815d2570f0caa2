"""Which hosts a test may load: ALLOWED_TARGETS.

One file for the plugin and the commands: `sidecar/common/allowed_targets.py` is a link to this one. A name is compared
as a name and an address as an address: an allowed name does not allow its address, and `localhost` is not 127.0.0.1.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

MOCK_TARGET = "mock-target"
"""The stack's own target: always allowed."""
EXPECTED = "host names, *.patterns, addresses and networks, such as staging.example, *.test.example:8443, 10.1.0.0/16"

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_HIGHEST_PORT = 65535
_ENTRY = re.compile(
    r"(?P<host>\[[^\[\]]+\](?:/\d+)?|[^\[\]:]+)(?::(?P<port>\d{1,5}))?|(?P<ip6>[0-9a-f:.]+(?:/\d+)?)", re.IGNORECASE
)
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*)(?:\.[a-z0-9_-]+)*")
_DOTS = str.maketrans(dict.fromkeys("。．｡", "."))  # IDNA reads them as dots

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class HostAndPort(NamedTuple):
    """A host and its port; None if the port is not known."""

    host: str
    port: int | None

    def __str__(self) -> str:
        """Return `host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


class _Entry(NamedTuple):
    name: str
    network: Network | None
    port: int | None

    def admits(self, name: str, address: Address | None, port: int | None) -> bool:
        if None not in (self.port, port) and self.port != port:
            return False
        if address is not None or self.network is not None:
            return address is not None and self.network is not None and address in self.network
        return name.endswith(self.name[1:]) if self.name.startswith("*.") else name == self.name


class AllowedTargets:
    """A list of entries. An empty list allows only the mock target.

    Raises:
        ValueError: an entry is not valid. The text names the entry and the expected form.

    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._entries = tuple(_entry(text) for text in entries)

    def admits(self, host: str, port: int | None = None) -> bool:
        """Return whether a connection to this host and port is allowed; without a port, to any port of the host."""
        name = _plain(host)
        address = address_of(name)
        if address is None and not _NAME.fullmatch(name):
            return False
        return name == MOCK_TARGET or any(entry.admits(name, address, port) for entry in self._entries)

    def refused(self, target: str | None) -> str:
        """Return the host of a target that is not allowed, for a message; "" if it is allowed.

        `target` is a URL, or any text that another client takes as its host. A text that names no host is allowed:
        the guard of the workers' connections decides then.
        """
        if not target:
            return ""
        try:
            place = place_of(target)
        except ValueError:
            return "an invalid URL" if "://" in target else ""
        return "" if self.admits(*place) else str(place)


def place_of(url: str) -> HostAndPort:
    r"""Return host and port of a URL, or of `host:port`.

    Raises:
        ValueError: it has no host, or clients disagree about it: http://allowed\@other/.

    """
    if re.search(r"[\\\s\x00-\x20\x7f]", url):
        raise ValueError(url)
    parts = urlsplit(url if "//" in url else f"//{url}")
    name = _plain(parts.hostname or "")
    if not (address_of(name) or _NAME.fullmatch(name)):
        raise ValueError(url)
    return HostAndPort(name, parts.port or _PORTS.get(parts.scheme.lower()))


def address_of(host: str) -> Address | None:
    """Return the IP address that a host part means; None for a name. Resolvers also accept 127.1, 0 and 0x7f000001."""
    try:
        found: Address = ipaddress.ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host)) if re.fullmatch(r"[0-9a-fx.]+", host) else None
        except OSError:
            return None
    return getattr(found, "ipv4_mapped", None) or found


def _plain(host: str) -> str:
    """Return a host in lower case, as IDNA writes it, without brackets and a dot at its end."""
    text = host.translate(_DOTS).strip("[]").removesuffix(".")
    if not text.isascii():
        try:
            text = text.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    return text.lower()


def _entry(text: str) -> _Entry:
    match = _ENTRY.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    if match and (port is None or 0 < port <= _HIGHEST_PORT):
        host = match["host"] or match["ip6"]
        bare, slash, bits = host.partition("/")
        name = _plain(bare)
        address = address_of(name)
        if address is not None:
            try:
                return _Entry("", ipaddress.ip_network(f"{address}{slash}{bits}", strict=False), port)
            except ValueError:
                pass
        elif not slash and _NAME.fullmatch(name.removeprefix("*.")):
            return _Entry(name, None, port)
    raise ValueError(f"{EXPECTED}; but not {text}")
