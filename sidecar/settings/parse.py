"""Turn the text of one setting into its value. Pure: no clock, no file, no environment.

Every parser takes the text and returns the value, or raises ValueError with the expected form.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import TypeVar

from sidecar.model.snapshot import LONGEST_LABEL, MOST_LABELS, is_label_name

AUTO = 0
VISIBLE = re.compile(r"[!-~]+")
Word = TypeVar("Word", bound=str)
_MEMORY = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?$", re.IGNORECASE)
_MEMORY_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SMALLEST_MEMORY_BYTES = 6 * 1024**2  # Docker refuses less
_LARGEST_MEMORY_BYTES = 2**63 - 1  # Docker counts in 64 bits
_SMALLEST_LOCUST_BYTES = 48 * 1024**2  # with less, importing Locust is very slow or is killed
_DURATION = re.compile(r"^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")
_GENERATIONS, _MOST_THRESHOLD = 3, 2**31
_FIELD = re.compile(r"[A-Za-z0-9_.\-]{2,64}")
_TRUE = frozenset({"1", "true", "yes", "on", "y"})
_FALSE = frozenset({"0", "false", "no", "off", "n"})


def matching(pattern: str, wanted: str) -> Callable[[str], str]:
    """Return a parser that accepts an empty text, and a text that matches the whole pattern."""

    def parse(raw: str) -> str:
        if raw and not re.fullmatch(pattern, raw):
            raise ValueError(wanted)
        return raw

    return parse


def words(raw: str) -> tuple[str, ...]:
    """Split a text into words as a shell does. The error quotes no word, because one may be a secret."""
    return tuple(shlex.split(raw))


def optional(parse: Callable[[str], str]) -> Callable[[str], str]:
    """Return a parser that accepts an empty text, and passes every other text to `parse`."""
    return lambda raw: parse(raw) if raw else ""


def boolean(raw: str) -> bool:
    """Return the value of a switch: 1 or 0, or words such as yes and off."""
    lowered = raw.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError("1 or 0")


def whole(low: int, high: int | None, raw: str) -> int:
    """Return a whole number from `low` to `high` (no upper end when None)."""
    wanted = f"a whole number from {low}" + ("" if high is None else f" to {high}")
    if not re.fullmatch(r"\d+", raw, re.ASCII):
        raise ValueError(wanted)
    value = int(raw)
    if value < low or (high is not None and value > high):
        raise ValueError(wanted)
    return value


def _number(raw: str) -> float:
    """Return a number, or NaN if the text is not a number: NaN is in no range."""
    try:
        return float(raw)
    except ValueError:
        return math.nan


def positive(raw: str) -> float:
    """Return a finite number above 0."""
    value = _number(raw)
    if not math.isfinite(value) or value <= 0:
        raise ValueError("a number above 0")
    return value


def seconds(low: float, high: float, raw: str) -> float:
    """Return seconds from `low` to `high`."""
    value = _number(raw)
    if not low <= value <= high:
        raise ValueError(f"seconds from {low:g} to {high:g}")
    return value


def workers(raw: str) -> int:
    """Return the number of workers; 0 for `auto`, which depends on the machine's CPUs."""
    if raw.lower() == "auto":
        return AUTO
    try:
        return whole(1, None, raw)
    except ValueError:
        raise ValueError("a whole number from 1, or auto") from None


def port(raw: str) -> int:
    """Return a TCP port that the stack may publish."""
    return whole(1, 65535, raw)


def memory_bytes(raw: str) -> int:
    """Return a size as Docker writes it (512m, 2G, 1.5gb, or plain bytes), in bytes."""
    match = _MEMORY.match(raw)
    if match is None:
        raise ValueError("a size such as 512m, 2G or 2147483648 (bytes)")
    value = float(match[1]) * 1024 ** _MEMORY_POWERS[match[2].lower()]
    if value < _SMALLEST_MEMORY_BYTES:
        raise ValueError("a size of at least 6m, the smallest that Docker accepts")
    if value >= _LARGEST_MEMORY_BYTES:
        raise ValueError("a size below 8192p, the largest that Docker accepts")
    return int(value)


def locust_memory_bytes(raw: str) -> int:
    """Return a memory limit under which a Locust process can start, in bytes."""
    value = memory_bytes(raw)
    if value < _SMALLEST_LOCUST_BYTES:
        raise ValueError("a size of at least 48m, the smallest in which Locust starts")
    return value


def duration_seconds(raw: str) -> int:
    """Return a time as Locust writes it (90, 90s, 2m, 1h30m), in seconds."""
    if re.fullmatch(r"\d+", raw, re.ASCII):
        return int(raw)
    match = _DURATION.match(raw)
    if match is None or not raw:
        raise ValueError("a time such as 90, 90s, 2m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def ratio(raw: str) -> float:
    """Return a share between 0 and 1, written as 1% or 0.01."""
    value = _number(raw.removesuffix("%").strip()) / (100 if raw.endswith("%") else 1)
    if not 0 <= value <= 1:
        raise ValueError("a share such as 1% or 0.01, from 0 to 1")
    return value


def share(raw: str) -> float:
    """Return a share above 0 and up to 1, written as 5% or 0.05: a limit that a figure must reach."""
    try:
        value = ratio(raw)
    except ValueError:
        value = 0.0
    if not value:
        raise ValueError("a share such as 5% or 0.05, above 0 and up to 1")
    return value


def names(raw: str) -> tuple[str, ...]:
    """Return a list, separated by commas or spaces; each name once, in the order given."""
    return tuple(dict.fromkeys(part for part in re.split(r"[,\s]+", raw) if part))


def labels(raw: str) -> tuple[str, ...]:
    """Return labels as `name=value`, separated by commas or spaces."""
    pairs = names(raw)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not is_label_name(name) or not 0 < len(value) <= LONGEST_LABEL or not value.isprintable():
            raise ValueError(
                "labels such as env=staging team=shop (names of letters, digits and _, not run_id; "
                f"values of at most {LONGEST_LABEL} characters without spaces)"
            )
    if len(pairs) > MOST_LABELS or len({pair.partition("=")[0] for pair in pairs}) < len(pairs):
        raise ValueError(f"at most {MOST_LABELS} labels, each name once")
    return pairs


def inner_file(raw: str) -> str:
    """Return the relative path of a file in a folder."""
    path = PurePosixPath(raw)
    if not raw or path.is_absolute() or ".." in path.parts or not raw.isprintable():
        raise ValueError("the relative path of a file in LOCUSTFILES_DIR, such as certs/ca.pem")
    return str(path)


def inner_folder(raw: str) -> str:
    """Return the relative path of a folder in the working directory."""
    try:
        return inner_file(raw)
    except ValueError:
        raise ValueError("the relative path of a folder in the test's working directory, such as results") from None


def field_names(raw: str) -> tuple[str, ...]:
    """Return names of headers, parameters or fields, separated by commas or spaces."""
    fields = names(raw)
    if not all(map(_FIELD.fullmatch, fields)):
        raise ValueError("names of letters, digits, _, - and ., such as X-Shop-Ticket")
    return fields


def gc_thresholds(raw: str) -> tuple[int, ...]:
    """Return one to three whole numbers, separated by commas or spaces, as `gc.set_threshold` takes them."""
    counts = re.split(r"[,\s]+", raw.strip())
    if len(counts) > _GENERATIONS or not all(text.isdecimal() and int(text) < _MOST_THRESHOLD for text in counts):
        raise ValueError("one to three whole numbers, such as 10000,20,50")
    return tuple(map(int, counts))


def choice(known: Sequence[str], raw: str) -> str:
    """Return the known word that the text names in any case."""
    for word in known:
        if raw.lower() == word.lower():
            return word
    raise ValueError(f"one of {', '.join(known)}")


def choices(known: Sequence[Word], raw: str) -> tuple[Word, ...]:
    """Return a list of known words, separated by commas or spaces; each once."""
    chosen = names(raw)
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"some of {', '.join(known)}, not {', '.join(unknown)}")
    return tuple(known[known.index(name)] for name in chosen)
