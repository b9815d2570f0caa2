"""Reports and messages of workers: as Locust and the plugin make them, and bent in every way."""

from __future__ import annotations

import contextlib
import copy
import math
import random
from collections.abc import Iterator
from typing import Any

from locust.event import Events
from locust.rpc.protocol import Message
from locust.stats import RequestStats, setup_distributed_stats_event_listeners
from locust_kit.failures.counters import RequestCounters
from locust_kit.worker_report import (
    COST_KEY,
    FAILURES_KEY,
    FILES_KEY,
    MEMORY_KEY,
    METERS_KEY,
    NUMBER_KEY,
    REPORT_KEY,
    RETRIES_KEY,
)

REQUESTS, FAILED = 7, 2
FILES = {"locustfile.py": "ab" * 32}

ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**31, 2**62, -(2**62), 10**30, 0.5, -0.5, 1e308, -1e308, math.nan, math.inf,
    "", "x", "\0", "/dev/zero", "../../etc/passwd", "12", "nan", "x" * 5000, b"", b"\xff", [], {}, [[]],
    [None], {"": {}}, {"a": math.nan}, {1: 2}, {-1: -1}, {2**60: 1}, [1] * 9, ["a"] * 8, {"__datetime__": 1}, (1, 2),
)  # fmt: skip

Path = tuple[Any, ...]


def genuine(*, requests: int = REQUESTS, failed: int = FAILED, users: int = 3) -> dict[str, Any]:
    """A report as a worker makes it: some requests, some of them failed."""
    events, stats, counters = Events(), RequestStats(), RequestCounters()
    setup_distributed_stats_event_listeners(events, stats)
    for number in range(requests):
        error = OSError(f"refused {number}") if number < failed else None
        stats.log_request("GET", "/cart", 12 + number, 100)
        if error:
            stats.log_error("GET", "/cart", error)
        counters.on_request("GET", "/cart", 12 + number, 100, error, context={"user": 1})
    data: dict[str, Any] = {"user_count": users, "user_classes_count": {"Shopper": users}}
    events.report_to_master.fire(client_id="w", data=data)
    data[REPORT_KEY] = {
        FILES_KEY: dict(FILES),
        FAILURES_KEY: counters.report(),
        MEMORY_KEY: {"rss_bytes": 1 << 26, "verdict": "too early", "top_lines": [], "gc_freed_at_stop_bytes": None},
        RETRIES_KEY: 0,
        COST_KEY: counters.cost.document(),
        METERS_KEY: {"run_id": ""},
        NUMBER_KEY: None,
    }
    sent: dict[str, Any] = Message.unserialize(Message("stats", data, "w").serialize()).data
    return sent


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place within a report."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*path, index))


def bent(report: Any, path: Path, odd: Any) -> Any:
    """The report with another value at a place."""
    if not path:
        return odd
    made = copy.copy(report)
    made[path[0]] = bent(made[path[0]], path[1:], odd)
    return made


def at_random(chance: random.Random, base: dict[str, Any], places: list[Path]) -> Any:
    """The report as it was, or bent in a place or two."""
    report: Any = base
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        place, odd = chance.choice(places), chance.choice(ODD)
        if chance.random() < 0.2:
            odd = {chance.choice(("a", "num_requests", 5, 2**50)): odd}
        elif chance.random() < 0.1:
            odd = [odd] * chance.choice((1, 8, 200))
        try:
            report = bent(report, place, odd)
        except (TypeError, LookupError, AttributeError):  # that place is gone by now
            report = bent(base, place, odd)
    return report


def large(report: Any, times: int) -> Any:
    """The report with so many times as many endpoints and failures, where it has any."""
    with contextlib.suppress(TypeError, KeyError, AttributeError):
        report = {**report, "stats": [{**row, "name": f"/{n}"} for n in range(times) for row in report["stats"]]}
        failures = report[REPORT_KEY][FAILURES_KEY]
        longer = {key: rows * (times // 10) for key, rows in failures.items() if isinstance(rows, list)}
        report = {**report, REPORT_KEY: {**report[REPORT_KEY], FAILURES_KEY: {**failures, **longer}}}
    return report


def message_at_random(chance: random.Random) -> tuple[Any, Any]:
    """A message other than a report: its type and its data."""
    kinds = (
        "heartbeat",
        "client_ready",
        "spawning",
        "spawning_complete",
        "logs",
        "exception",
        "locustfile",
        "nonsense",
    )
    usual = {
        "heartbeat": {"state": "running", "current_cpu_usage": 3.0, "current_memory_usage": 5},
        "spawning_complete": {"user_classes_count": {"Shopper": 2}, "user_count": 2},
        "logs": {"worker_id": "w-1", "logs": ["a line"]},
        "exception": {"msg": "no", "traceback": "there"},
        "locustfile": {"version": "2.47.0"},
    }
    kind = chance.choice(kinds)
    data = usual.get(kind)
    places = list(paths(data))
    data = bent(data, chance.choice(places), chance.choice(ODD)) if chance.random() < 0.8 else data
    return (chance.choice(ODD) if chance.random() < 0.05 else kind), data
