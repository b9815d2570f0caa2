"""Turn the text of a setting about URLs, hosts and addresses into its value. Pure, as all parsers are."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from sidecar.common.allowed_targets import AllowedTargets
from sidecar.settings.parse import VISIBLE, matching, names

LOCUST_PORT = 5557
_LOCUST_WEB_PORT = 8089
_HIGHEST_PORT = 65535
_WANTED_MASTER = "an address or a name, with the port if it is not 5557, such as 10.0.0.5 or [2001:db8::5]:5557"
_WANTED_URL = "a URL with its scheme, such as http://shop.example:8080"
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_.-]{1,253}")
_BARE_HOST = re.compile(r"(?:[^\s/?#:@\[\]]+|\[[^\]]+\])(?::\d+)?(?:[/?#].*)?")
_BETWEEN_URLS = re.compile(r"\s*,\s*(?=[A-Za-z][A-Za-z0-9+.-]*://)|\s+")
_ALERT_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]+")
_REGISTRY = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?(?:/[a-z0-9._/-]*[a-z0-9])?")
node = matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "the name of a node, as `docker node ls` shows it")
_ENGINE = re.compile(r"(?:(?:ssh|tcp|unix)://)?[A-Za-z0-9/][A-Za-z0-9_.:@/\[\]-]*")


def target_url(raw: str, web_port: int = 0) -> str:
    """Return a target: a URL with a scheme and a host that is reachable from inside a container.

    `web_port` is the port of Locust's page on this machine, if it is known.
    """
    if any(letter.isspace() for letter in raw):
        raise ValueError(_WANTED_URL)
    parts = _split(raw)
    if not re.match(r"^[A-Za-z][A-Za-z0-9+.-]*://", raw):
        guess = raw if "//" not in raw else raw.split("//", 1)[1]
        if "@" in raw or not _BARE_HOST.fullmatch(guess):  # mailto:x has a scheme
            raise ValueError(_WANTED_URL)
        raise ValueError(f"a URL with its scheme, such as http://{_inside_guess(guess, web_port)}")
    if not parts.hostname:
        raise ValueError(_WANTED_URL)
    if is_loopback(raw):
        raise ValueError(
            f"{from_inside(raw, web_port)} (inside a container, {parts.hostname} means the container itself)"
        )
    return raw


def is_loopback(url: str) -> bool:
    """Return whether a URL's host is a loopback address. Inside a container it means the container."""
    host = (_split(url).hostname or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    if address is None:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def from_inside(url: str, web_port: int = 0) -> str:
    """Return the same URL as a container reaches it: on the host, or for `web_port` on the master.

    The master's page is published on the host's loopback only, which no container reaches.
    """
    parts = _split(url)
    number = f":{parts.port}" if parts.port else ""
    netloc = f"locust-master:{_LOCUST_WEB_PORT}" if parts.port == web_port else f"host.docker.internal{number}"
    return parts._replace(netloc=netloc).geturl()


def proxy(raw: str) -> str:
    """Return the URL of an HTTP proxy. Refuse a password: others can read a container's settings."""
    try:
        url = urlsplit(raw)
        is_plain = url.scheme == "http" and url.hostname and "@" not in url.netloc and not url.path.strip("/")
        if is_plain and url.port != 0:
            return raw
    except ValueError:
        pass
    raise ValueError("http://host:port, without a user name")


def push_url(raw: str) -> str:
    """Return the URL that failures are pushed to; "" for no URL."""
    return _web_url(raw, "https://failures.example/v1/batches") if raw else ""


def collector(raw: str) -> str:
    """Return the URL of an OpenTelemetry collector, as a container reaches it."""
    _web_url(raw, "http://collector:4318")
    if is_loopback(raw):
        raise ValueError(f"{from_inside(raw)} (inside a container, {_split(raw).hostname} means the container itself)")
    if raw.rstrip("/").endswith("/v1/traces"):
        raise ValueError(f"{raw.rstrip('/').removesuffix('/v1/traces')} (/v1/traces is added automatically)")
    return raw


def trace_url(raw: str) -> str:
    """Return the URL template of a trace's page."""
    example = "http://jaeger:16686/trace/{trace_id}"
    if "{trace_id}" not in raw:
        raise ValueError(f"a URL with {{trace_id}} in it, such as {example}")
    return _web_url(raw, example)


def _web_url(raw: str, example: str) -> str:
    wanted = f"an http or https URL without user name and password, such as {example}"
    try:
        parts = _split(raw)
    except ValueError:
        raise ValueError(wanted) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or not VISIBLE.fullmatch(raw):
        raise ValueError(wanted)
    return raw


def alert_urls(raw: str) -> tuple[str, ...]:
    """Return the URLs for alerts, separated by spaces, or by commas before the next scheme; each once.

    The error does not quote the refused URL: it may contain a password or a token.
    """
    urls = tuple(dict.fromkeys(part for part in _BETWEEN_URLS.split(raw.strip()) if part))
    for number, url in enumerate(urls, 1):
        if not _ALERT_URL.fullmatch(url):
            raise ValueError(
                f"URLs with a scheme, such as https://hooks.slack.com/services/...; URL number {number} has no scheme"
            )
    return urls


def named_urls(raw: str) -> tuple[tuple[str, str], ...]:
    """Return `shop=http://shop/health db=http://db:8080/` as (name, URL) pairs."""
    pairs = []
    for part in raw.replace(",", " ").split():
        name, sign, url = part.partition("=")
        if not (sign and re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", name) and re.match(r"https?://[^\s/]", url)):
            raise ValueError("name=http://host/path, several separated by spaces")
        pairs.append((name, url))
    return tuple(pairs)


def host_names(raw: str) -> tuple[str, ...]:
    """Return host names, separated by commas or spaces; each once."""
    hosts = tuple(dict.fromkeys(names(raw.lower())))
    if not all(re.fullmatch(r"[a-z0-9_.-]{1,253}", name) for name in hosts):
        raise ValueError("host names without scheme and port, such as locust.shop.example")
    return hosts


def allowed_targets(raw: str) -> tuple[str, ...]:
    """Return the entries of ALLOWED_TARGETS, separated by commas or spaces; each once."""
    entries = names(raw)
    AllowedTargets(entries)
    return entries


def own_address(raw: str) -> str:
    """Return one IP address without a port; "" for an empty text."""
    if not raw:
        return ""
    if (address := _ip(raw.strip("[]"))) is None:
        raise ValueError("an IPv4 or IPv6 address of this machine, without a name and without a port, such as 10.0.0.5")
    return str(address)


def allow_list(raw: str) -> tuple[str, ...]:
    """Return addresses and networks, separated by commas or spaces; each once, in their short form."""
    allowed = []
    for text in names(raw):
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"addresses and networks, such as 10.0.0.7,10.1.0.0/16, but not {text}") from None
        allowed.append(str(network.network_address if network.num_addresses == 1 else network))
    return tuple(dict.fromkeys(allowed))


def admits_everyone(allowed: Sequence[str]) -> bool:
    """Return whether a list of who may connect has no limit."""
    return not allowed or any(text.endswith("/0") for text in allowed)


def place_of_master(raw: str) -> tuple[str, int] | None:
    """Return host and port of a master; None for an empty text. An IPv6 address with a port needs brackets."""
    if not raw:
        return None
    host, port = _parted(raw)
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT):
        raise ValueError(_WANTED_MASTER)
    if not (_HOST_NAME.fullmatch(host) or _ip(host)):
        raise ValueError(_WANTED_MASTER)
    return host, int(port)


def shown(host: str, port: int) -> str:
    """Write host and port. Leave out Locust's own port; put an IPv6 address before a port in brackets."""
    if port == LOCUST_PORT:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def registry(raw: str) -> str:
    """Return the registry: a host, with port and path where it needs them."""
    text = raw.rstrip("/")
    if text and not _REGISTRY.fullmatch(text):
        raise ValueError("host[:port][/path] in lower-case letters, such as registry.example:5000/load")
    return text


def engines(raw: str) -> tuple[str, ...]:
    """Return Docker contexts or URLs of engines, separated by commas or spaces."""
    places = tuple(filter(None, re.split(r"[,\s]+", raw.strip())))
    for place in places:
        if not _ENGINE.fullmatch(place):
            raise ValueError(f"Docker contexts or URLs such as ssh://user@host, separated by commas; not {place!r}")
    return places


def _inside_guess(bare: str, web_port: int) -> str:
    url = f"http://{bare}"
    try:
        return from_inside(url, web_port).removeprefix("http://") if is_loopback(url) else bare
    except ValueError:
        return bare


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # an invalid port raises only here
    except ValueError:
        raise ValueError(_WANTED_URL) from None
    return parts


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a host part means; None for a name. Resolvers also accept 127.1, 0 and 0x7f000001."""
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return _ip(host)


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _parted(raw: str) -> tuple[str, str]:
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", raw)
    if bracketed:
        return bracketed[1], bracketed[2] or str(LOCUST_PORT)
    if raw.count(":") == 1:
        host, _, port = raw.partition(":")
        return host, port
    return raw, str(LOCUST_PORT)
