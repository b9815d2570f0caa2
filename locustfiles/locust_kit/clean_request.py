"""Clean the values that a test's own client reports, so that Locust's statistics can count, send and add them.

Locust's own listener breaks on a length of None: it counts the request, but not its failure. A time of NaN stays in its
figures for good. Half of a surrogate pair in a name ends the greenlet that sends the figures.

Nearly every request only passes a check of types and bounds, which costs a tenth of a microsecond. Any other request is
cleaned, counted, and logged once.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from locust.env import Environment
from locust.stats import StatsError

from locust_kit.guard import position_of
from locust_kit.performance import LONGEST_MS, milliseconds
from locust_kit.texts import LONGEST_NAME, safe

logger = logging.getLogger("locust_kit")

LONGEST_ERROR = 1000  # characters
MOST_BYTES = 1 << 40
_LISTENER = "Runner.__init__.<locals>.on_request"

_PLAIN_REPR: Any = BaseException.__repr__

KINDS = ("name", "type", "time", "length", "error")
CLEANED: Counter[str] = Counter()
"""The number of cleaned values of each kind in this run."""

Cleaned = tuple[str, str, float | None, int]


def is_clean(request_type: Any, name: Any, response_time: Any, response_length: Any) -> bool:
    """Return whether Locust can count a request without cleaning."""
    return (
        type(name) is type(request_type) is str
        and name.isascii()
        and request_type.isascii()
        and len(name) <= LONGEST_NAME
        and (type(response_time) is float or type(response_time) is int)
        and 0 <= response_time <= LONGEST_MS
        and type(response_length) is int
        and 0 <= response_length <= MOST_BYTES
        and len(request_type) <= LONGEST_NAME
    )


def clean(request_type: Any, name: Any, response_time: Any, response_length: Any) -> Cleaned:
    """Return type, name, time (None if it is not a time) and length of a request in a form that Locust can count."""
    time_ms = milliseconds(response_time)
    if response_time is not None and time_ms is None:
        _note("time", response_time, "no time")
    length = response_length
    if type(length) is not int or not 0 <= length <= MOST_BYTES:
        length = _whole(response_length)
        if type(response_length) is not float or length != response_length:
            _note("length", response_length, length)
    return _text("type", request_type), _text("name", name), time_ms, length


def is_failed(exception: Any) -> bool:
    """Tell whether Locust counts a request as failed. A class of the test's own may raise anything in `__bool__`."""
    try:
        return bool(exception)
    except Exception:  # noqa: BLE001  as above
        return True


def clean_error(error: Any) -> str:
    """Return the cut text of a request's error for Locust, which would otherwise make the text twice."""
    try:
        text = StatsError.parse_error(_without_the_rest(error))[:LONGEST_ERROR]
        if text.isascii() or text.encode():
            return text
    except Exception:  # noqa: BLE001  a class of the test's own may raise anything in `__repr__`
        text = safe(error, LONGEST_ERROR)
    cleaned = safe(text, LONGEST_ERROR)
    _note("error", error, cleaned)
    return cleaned


def _without_the_rest(error: Any) -> Any:
    """Return an error with a short text: Locust would need long to quote a whole page."""
    if isinstance(error, str):
        return error[:LONGEST_ERROR]
    text = error.args[0] if len(getattr(error, "args", ())) == 1 else ""
    if type(text) is str and len(text) > LONGEST_ERROR and type(error).__repr__ is _PLAIN_REPR:
        return f"{type(error).__name__}({text[:LONGEST_ERROR]!r})"
    return error


def take_over(environment: Environment) -> bool:
    """Remove Locust's own listener to requests; return whether it was found."""
    event = environment.events.request
    position = position_of(event, _LISTENER)
    if position is not None:
        del event._handlers[position]  # noqa: SLF001  there is no public way
    return position is not None


def _text(kind: str, value: Any) -> str:
    text = safe(value, LONGEST_NAME)
    if not isinstance(value, str) or text != value:
        _note(kind, value, text)
    return text


def _whole(value: Any) -> int:
    try:
        return min(max(int(value or 0), 0), MOST_BYTES)
    except (TypeError, ValueError, OverflowError):
        return 0


def _note(kind: str, value: Any, taken: Any) -> None:
    CLEANED[kind] += 1
    if CLEANED[kind] == 1:
        logger.warning(
            "locust-kit: a client reported a request with the %s %s; Locust cannot count that, so the plugin uses %s",
            *(kind, safe(ascii(safe(value, 100)), 100), ascii(safe(taken, 100))),
        )
