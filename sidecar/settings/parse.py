"""Turn the text of one setting into its value. Pure: no clock, no file, no environment.

Every parser takes the text and returns the value, or raises ValueError whose text says what would be right.
"""

from __future__ import annotations

import ipaddress
import math
import re
import socket
from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import SplitResult, urlsplit

from sidecar.model.snapshot import LONGEST_LABEL, MOST_LABELS, is_label_name

_MEMORY = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?$", re.IGNORECASE)
_MEMORY_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SMALLEST_MEMORY_BYTES = 6 * 1024**2  # Docker refuses less
_LARGEST_MEMORY_BYTES = 2**63 - 1  # Docker counts in 64 bits
_SMALLEST_LOCUST_BYTES = 48 * 1024**2  # in less, importing Locust crawls or is killed
_DURATION = re.compile(r"^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")
_PROJECT = re.compile(r"^[a-z0-9][a-z0-9_-]*$")
_WANTED_URL = "a URL with its scheme, such as http://shop.example:8080"
_BARE_HOST = re.compile(r"(?:[^\s/?#:@\[\]]+|\[[^\]]+\])(?::\d+)?(?:[/?#].*)?")
_BETWEEN_URLS = re.compile(r"\s*,\s*(?=[A-Za-z][A-Za-z0-9+.-]*://)|\s+")
_ALERT_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]+")
_GENERATIONS, _MOST_THRESHOLD = 3, 2**31
_FIELD = re.compile(r"[A-Za-z0-9_.\-]{2,64}")
_VISIBLE = re.compile(r"[!-~]+")
_TRUE = frozenset({"1", "true", "yes", "on", "y"})
_FALSE = frozenset({"0", "false", "no", "off", "n"})


def text(raw: str) -> str:
    """Any text."""
    return raw


def boolean(raw: str) -> bool:
    """1 or 0, in the words people use for them."""
    lowered = raw.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError("1 or 0")


def whole(low: int, high: int | None, raw: str) -> int:
    """A whole number from `low` to `high` (no upper end when None)."""
    wanted = f"a whole number from {low}" + ("" if high is None else f" to {high}")
    if not re.fullmatch(r"\d+", raw, re.ASCII):
        raise ValueError(wanted)
    value = int(raw)
    if value < low or (high is not None and value > high):
        raise ValueError(wanted)
    return value


def positive(raw: str) -> float:
    """A finite number above 0."""
    try:
        value = float(raw)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise ValueError("a number above 0")
    return value


def workers(processors: int, raw: str) -> int:
    """How many workers: a number, or `auto` for one less than the processors (one is left to the master)."""
    if raw.lower() == "auto":
        return max(1, processors - 1)
    try:
        return whole(1, None, raw)
    except ValueError:
        raise ValueError("a whole number from 1, or auto") from None


def port(raw: str) -> int:
    """A TCP port that the stack may publish."""
    return whole(1, 65535, raw)


def memory_bytes(raw: str) -> int:
    """A size as Docker writes it (512m, 2G, 1.5gb, or plain bytes), in bytes."""
    match = _MEMORY.match(raw)
    if match is None:
        raise ValueError("a size such as 512m, 2G or 2147483648 (bytes)")
    value = float(match[1]) * 1024 ** _MEMORY_POWERS[match[2].lower()]
    if value < _SMALLEST_MEMORY_BYTES:
        raise ValueError("a size of at least 6m, the least that Docker takes")
    if value >= _LARGEST_MEMORY_BYTES:
        raise ValueError("a size below 8192p, more than Docker can count")
    return int(value)


def locust_memory_bytes(raw: str) -> int:
    """A memory limit under which a Locust process can start, in bytes."""
    value = memory_bytes(raw)
    if value < _SMALLEST_LOCUST_BYTES:
        raise ValueError("a size of at least 48m, the least that Locust starts in")
    return value


def duration_seconds(raw: str) -> int:
    """A time as Locust writes it (90, 90s, 2m, 1h30m), in seconds."""
    if re.fullmatch(r"\d+", raw, re.ASCII):
        return int(raw)
    match = _DURATION.match(raw)
    if match is None or not raw:
        raise ValueError("a time such as 90, 90s, 2m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def ratio(raw: str) -> float:
    """A share between 0 and 1, written as 1% or 0.01."""
    wanted = "a share such as 1% or 0.01, from 0 to 1"
    percent = raw.endswith("%")
    try:
        value = float(raw.removesuffix("%").strip()) / (100 if percent else 1)
    except ValueError:
        raise ValueError(wanted) from None
    if not 0 <= value <= 1:
        raise ValueError(wanted)
    return value


def share(raw: str) -> float:
    """A share above 0 and up to 1, written as 5% or 0.05: a threshold that something must reach."""
    try:
        value = ratio(raw)
    except ValueError:
        value = 0.0
    if not value:
        raise ValueError("a share such as 5% or 0.05, above 0 and up to 1")
    return value


def project(raw: str) -> str:
    """A name that Compose takes for a project."""
    if not _PROJECT.match(raw):
        raise ValueError("lower-case letters, digits, - and _, beginning with a letter or a digit")
    return raw


def names(raw: str) -> tuple[str, ...]:
    """A list, divided by commas or blanks; each name once, in the order given."""
    return tuple(dict.fromkeys(part for part in re.split(r"[,\s]+", raw) if part))


def labels(raw: str) -> tuple[str, ...]:
    """Labels as `name=value`, divided by commas or blanks."""
    found = names(raw)
    for one in found:
        name, equals, value = one.partition("=")
        if not equals or not is_label_name(name) or not 0 < len(value) <= LONGEST_LABEL or not value.isprintable():
            raise ValueError(
                f"env=staging team=shop (names of letters, digits and _, not run_id; values of at most {LONGEST_LABEL} "
                "characters without blanks)"
            )
    if len(found) > MOST_LABELS or len({one.partition("=")[0] for one in found}) < len(found):
        raise ValueError(f"at most {MOST_LABELS} labels, each name once")
    return found


def inner_file(raw: str) -> str:
    """A file below a folder, by its path from there."""
    path = PurePosixPath(raw)
    if not raw or path.is_absolute() or ".." in path.parts or not raw.isprintable():
        raise ValueError("a file in LOCUSTFILES_DIR, by its path from there, such as certs/ca.pem")
    return str(path)


def proxy(raw: str) -> str:
    """The URL of an HTTP proxy, without a name and a password: a command line and a container's settings are seen."""
    try:
        url = urlsplit(raw)
        is_plain = url.scheme == "http" and url.hostname and "@" not in url.netloc and not url.path.strip("/")
        if is_plain and url.port != 0:
            return raw
    except ValueError:
        pass
    raise ValueError("http://host:port, without a user name")


def field_names(raw: str) -> tuple[str, ...]:
    """Names of headers, parameters or fields, divided by commas or blanks."""
    found = names(raw)
    if not all(map(_FIELD.fullmatch, found)):
        raise ValueError("names of letters, digits, _, - and ., such as X-Shop-Ticket")
    return found


def gc_thresholds(raw: str) -> tuple[int, ...]:
    """One to three whole numbers, divided by commas or blanks, as `gc.set_threshold` takes them."""
    found = re.split(r"[,\s]+", raw.strip())
    if len(found) > _GENERATIONS or not all(one.isdecimal() and int(one) < _MOST_THRESHOLD for one in found):
        raise ValueError("one to three whole numbers, such as 10000,20,50")
    return tuple(map(int, found))


def choice(known: Sequence[str], raw: str) -> str:
    """One of some words."""
    if raw.lower() in known:
        return raw.lower()
    raise ValueError(f"one of {', '.join(known)}")


def choices(known: Sequence[str], raw: str) -> tuple[str, ...]:
    """A list of words that are known, divided by commas or blanks; each once."""
    found = names(raw)
    if unknown := [name for name in found if name not in known]:
        raise ValueError(f"some of {', '.join(known)}, not {', '.join(unknown)}")
    return found


def alert_urls(raw: str) -> tuple[str, ...]:
    """Addresses for alerts, divided by blanks, or by commas in front of the next scheme; each once.

    The error does not repeat what it refuses: such an address holds a password or a token.
    """
    found = tuple(dict.fromkeys(part for part in _BETWEEN_URLS.split(raw.strip()) if part))
    for number, url in enumerate(found, 1):
        if not _ALERT_URL.fullmatch(url):
            raise ValueError(
                f"URLs with a scheme, such as https://hooks.slack.com/services/...; number {number} is none"
            )
    return found


def endpoint(raw: str) -> str:
    """A path on the target, with its query."""
    if raw and not re.fullmatch(r"/[^\s#]*", raw):
        raise ValueError("a path such as /api/cart?page=2; the target is HOST")
    return raw


def http_method(raw: str) -> str:
    """GET and its like, in any case."""
    known = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
    if raw.upper() in known:
        return raw.upper()
    raise ValueError(f"one of {', '.join(known)}")


def named_urls(raw: str) -> tuple[tuple[str, str], ...]:
    """`shop=http://shop/health db=http://db:8080/` as (name, URL) pairs."""
    found = []
    for word in raw.replace(",", " ").split():
        name, sign, url = word.partition("=")
        if not (sign and re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", name) and re.match(r"https?://[^\s/]", url)):
            raise ValueError("name=http://host/path, several divided by blanks")
        found.append((name, url))
    return tuple(found)


def push_url(raw: str) -> str:
    """Where failures are pushed to: an http(s) URL that holds no user name and no password; "" for nowhere."""
    wanted = "an http or https URL without user name and password, such as https://failures.example/v1/batches"
    if not raw:
        return ""
    try:
        parts = _split(raw)
    except ValueError:
        raise ValueError(wanted) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError(wanted)
    if not _VISIBLE.fullmatch(raw):
        raise ValueError(wanted)
    return raw


def bearer_key(raw: str) -> str:
    """A key that an HTTP header can carry; "" for none."""
    if raw and not _VISIBLE.fullmatch(raw):
        raise ValueError("visible ASCII characters without a blank")
    return raw


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine as seen from itself, which inside a container is the container."""
    host = (_split(url).hostname or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    if address is None:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host part is; None for a name. Resolvers take 127.1, 0 and 0x7f000001 for addresses too."""
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        pass
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def from_inside(url: str) -> str:
    """The same URL as a container reaches it: the host part becomes host.docker.internal."""
    parts = _split(url)
    number = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"host.docker.internal{number}").geturl()


def target_url(raw: str) -> str:
    """A target: a URL with a scheme and a host that is reachable from inside a container."""
    if any(letter.isspace() for letter in raw):
        raise ValueError(_WANTED_URL)
    parts = _split(raw)
    if not re.match(r"^[A-Za-z][A-Za-z0-9+.-]*://", raw):
        guess = raw if "//" not in raw else raw.split("//", 1)[1]
        if "@" in raw or not _BARE_HOST.fullmatch(guess):  # mailto:x is no host that lacks a scheme
            raise ValueError(_WANTED_URL)
        raise ValueError(f"a URL with its scheme, such as http://{_inside_guess(guess)}")
    if not parts.hostname:
        raise ValueError(_WANTED_URL)
    if is_loopback(raw):
        raise ValueError(f"{from_inside(raw)} (inside a container, {parts.hostname} is the container itself)")
    return raw


def _inside_guess(bare: str) -> str:
    url = f"http://{bare}"
    try:
        return from_inside(url).removeprefix("http://") if is_loopback(url) else bare
    except ValueError:
        return bare


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is no number shows only when asked for
    except ValueError:
        raise ValueError(_WANTED_URL) from None
    return parts
