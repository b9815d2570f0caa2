"""Thresholds: the limits on a run's figures, as people write them. Pure.

    p95<800  p(99)<2s  avg<=300ms  fail_ratio<1%  rps>50  p99{name=/checkout,method=POST}<2s  ?max<5s
    fail_ratio{last=30s}<1%  rps{worst=10s}>5

`?` reports and never fails. Times are in ms, or in s with the unit. A share is 0 to 1 or a percentage.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt

WANTED = "thresholds such as p95<800 fail_ratio<1% rps>50 p99{name=/checkout}<2s ?avg<300"
TAGS = ("name", "method", "outcome", "last", "worst")
WINDOWS = ("last", "worst")
_LONGEST_WINDOW = 3600
OUTCOMES = ("good", "failed")
HOLDS: Mapping[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq}
UPPER = ("<", "<=")
_TIMES = frozenset({"avg", "min", "max"})
_COUNTS = frozenset({"rps", "requests", "failures", "task_errors"})
_SHARES = frozenset({"fail_ratio", "task_error_ratio"})
OF_TASKS = frozenset({"task_errors", "task_error_ratio"})
_OF_A_WINDOW = frozenset({"fail_ratio", "failures", "requests", "rps"})
_SECONDS = re.compile(r"(?P<number>\d{1,4})\s*(?P<unit>[sm]?)")
_SAME = {"mean": "avg", "med": "p50", "median": "p50", "http_req_failed": "fail_ratio"}
_PERCENTILE = re.compile(r"p\(?(?P<percent>\d{1,2}(?:\.\d{1,4})?)\)?")
_TERM = re.compile(
    r"\s*,?\s*(?P<text>(?P<soft>\??)\s*(?P<metric>[a-z_]+(?:\(\s*[\d.]+\s*\)|[\d.]+)?)\s*"
    r"(?:\{(?P<tags>[^{}]*)\})?\s*(?P<sign><=|>=|==|<|>)\s*(?P<value>[\d.]+)\s?(?P<unit>ms|s\b|%|/s|(?![\w.])))"
)
_COMMENT = re.compile(r"(?m)(?:^|\s)#.*$")
_NEXT_TAG = re.compile(rf",\s*(?=(?:{'|'.join(TAGS)})\s*=)")
_MS = {"": 1.0, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Threshold:
    """One threshold.

    Attributes:
        text: as it was written, without spaces.
        metric: p50, p99.9, avg, min, max, fail_ratio, rps, requests, failures, task_errors or task_error_ratio.
        sign: the comparison of figure and limit: <, <=, >, >= or ==.
        limit: in ms for times, 0 to 1 for shares, per second for rps.
        tags: (name, value) pairs that select requests.
        is_soft: whether it is only reported.

    """

    text: str
    metric: str
    sign: str
    limit: float
    tags: tuple[tuple[str, str], ...] = ()
    is_soft: bool = False

    @property
    def quantile(self) -> float | None:
        """Return its quantile, 0 to 1; None if the metric is not a percentile."""
        match = _PERCENTILE.fullmatch(self.metric)
        return float(match["percent"]) / 100 if match else None

    @property
    def window(self) -> tuple[str, float] | None:
        """Return `last` or `worst` and a number of seconds; None if it covers the whole run."""
        return next(((name, float(value)) for name, value in self.tags if name in WINDOWS), None)

    @property
    def replaces_fail_ratio(self) -> bool:
        """Whether this replaces FAIL_RATIO: a share of failures over all requests."""
        return self.metric == "fail_ratio" and not self.tags and not self.is_soft

    @property
    def replaces_task_error_ratio(self) -> bool:
        """Whether this replaces TASK_ERROR_RATIO: a limit over all task runs."""
        return self.metric in OF_TASKS and not self.tags and not self.is_soft

    @property
    def is_time(self) -> bool:
        """Tell whether figure and limit are in ms."""
        return self.metric in _TIMES or self.quantile is not None

    @property
    def is_share(self) -> bool:
        """Tell whether figure and limit are a share, 0 to 1."""
        return self.metric in _SHARES

    def holds(self, actual: float) -> bool:
        """Return whether a figure meets the threshold."""
        return HOLDS[self.sign](actual, self.limit)


def parse(text: str) -> tuple[Threshold, ...]:
    """Read the thresholds in a text: separated by spaces, commas or lines; `#` begins a comment.

    Raises:
        ValueError: a part is not a threshold; the message has the value seen and what is expected.

    """
    return tuple(_terms(_COMMENT.sub(" ", text)))


def _terms(text: str) -> Iterator[Threshold]:
    at = 0
    while text[at:].strip(" \t\r\n,"):
        term = _TERM.match(text, at)
        if term is None:
            raise ValueError(f"{WANTED}; {text[at:].split(maxsplit=1)[0]!r:.60} is not a threshold")
        yield _threshold(term)
        at = term.end()


def _threshold(term: re.Match[str]) -> Threshold:
    written = "".join(term["text"].split())
    metric = _metric(term["metric"], written)
    return Threshold(
        written,
        metric,
        term["sign"],
        _limit(metric, term["value"], term["unit"], written),
        _tags(term["tags"] or "", metric, written),
        bool(term["soft"]),
    )


def _metric(text: str, written: str) -> str:
    plain = "".join(text.split())
    name = _SAME.get(plain, plain)
    percentile = _PERCENTILE.fullmatch(name)
    if percentile and float(percentile["percent"]) > 0:
        return f"p{float(percentile['percent']):g}"
    if name not in _TIMES | _COUNTS | _SHARES:
        known = "p50, p95, p99.9, avg, min, max, fail_ratio, rps, requests, failures, task_errors, task_error_ratio"
        raise ValueError(f"one of {known}; {written!r:.60} names {plain!r:.30}")
    return name


def _limit(metric: str, text: str, unit: str, written: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    is_share, is_count = metric in _SHARES, metric in _COUNTS
    fits = (
        unit in ("", "%")
        if is_share
        else unit in (("", "/s") if metric == "rps" else ("",))
        if is_count
        else unit in _MS
    )
    if not math.isfinite(number) or not fits:
        wanted = (
            "a share such as 1% or 0.01" if is_share else "a number" if is_count else "a time such as 800, 800ms or 2s"
        )
        raise ValueError(f"{wanted} at the end of {written!r:.60}")
    if is_share:
        number = number / 100 if unit == "%" else number
        if number > 1:
            raise ValueError(f"a share up to 100% at the end of {written!r:.60}")
        return number
    return number if is_count else number * _MS[unit]


def _window(value: str, metric: str, tags: str, written: str) -> str:
    """Return the seconds of a window of time."""
    match = _SECONDS.fullmatch(value)
    seconds = float(match["number"]) * (60 if match["unit"] == "m" else 1) if match else 0
    if not 0 < seconds <= _LONGEST_WINDOW:
        raise ValueError(f"a time such as 30s or 5m, at most 1h, after last= or worst= in {written!r:.60}")
    if metric not in _OF_A_WINDOW or "," in tags:
        raise ValueError(f"last= or worst= alone, of {', '.join(sorted(_OF_A_WINDOW))}, in {written!r:.60}")
    return f"{seconds:g}"


def _tags(text: str, metric: str, written: str) -> tuple[tuple[str, str], ...]:
    tags = []
    for tag in _NEXT_TAG.split(text) if text.strip() else ():
        name, sign, value = tag.partition("=")
        name, value = name.strip(), value.strip()
        if name not in TAGS or not sign or not value:
            raise ValueError(f"tags name=, method=, outcome=, last= or worst= in {written!r:.60}")
        if name in WINDOWS:
            value = _window(value, metric, text, written)
        if name == "outcome" and (value not in OUTCOMES or not metric.startswith("p")):
            raise ValueError(f"outcome=good or outcome=failed, of a percentile, in {written!r:.60}")
        if name == "method" and metric in OF_TASKS:
            raise ValueError(f"the tag name=Class.task in {written!r:.60}: a task has no method")
        tags.append((name, value))
    return tuple(tags)
