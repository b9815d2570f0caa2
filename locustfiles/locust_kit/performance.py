"""How long requests took, successful and failed requests apart, and which endpoints took the most time.

The times are counts in buckets whose borders are 2 % apart (the sketch of "DDSketch", Masson et al. 2019). So each
quantile is within 1 % of its sample, at any number of requests, and the counts of workers add up exactly. A quantile q
uses the nearest rank: the smallest time that at least q of the requests did not exceed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil, log
from typing import Any

from locust_kit import SCHEMA_VERSION, env
from locust_kit.texts import LONGEST_NAME, OTHERS, plural, safe

GAMMA = 1.02
MOST_ENDPOINTS = 2000
SHORTEST_MS, LONGEST_MS = 0.01, 1e12
_LOG_GAMMA = log(GAMMA)
_SHORTEST = ceil(log(SHORTEST_MS) / _LOG_GAMMA)
_QUANTILES = {"median_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}

Key = tuple[str, str]


@dataclass(frozen=True)
class SlowLimits:
    """From when on a request is slow (ms), how many slow requests make a bottleneck, and how many are shown."""

    slow_ms: float = 3000.0
    more_than: int = 5
    top: int = 5

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> SlowLimits:
        """Read the limits from environment variables."""
        return cls(
            env.value(environ, "KIT_SLOW_MS", env.positive, cls.slow_ms),
            env.value(environ, "KIT_SLOW_REQUESTS", env.whole, cls.more_than),
            env.value(environ, "KIT_SLOW_TOP", env.whole, cls.top),
        )


def milliseconds(response_time: Any) -> float | None:
    """Return a response time as a number; None if it is missing, not a number, or not a possible time."""
    try:
        number = float(response_time)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number <= LONGEST_MS else None


@dataclass(slots=True)
class Sketch:
    """Times as counts by bucket."""

    counts: dict[int, int] = field(default_factory=dict)
    total_ms: float = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one time."""
        index = ceil(log(milliseconds) / _LOG_GAMMA) if milliseconds > SHORTEST_MS else _SHORTEST
        self.counts[index] = self.counts.get(index, 0) + 1
        self.total_ms += milliseconds

    def merge(self, counts: Mapping[int, int], total_ms: float) -> None:
        """Add the counts of another sketch."""
        for index, count in counts.items():
            self.counts[int(index)] = self.counts.get(int(index), 0) + int(count)
        self.total_ms += total_ms

    @property
    def count(self) -> int:
        """Return how many times were counted."""
        return sum(self.counts.values())

    def quantile(self, share: float) -> float | None:
        """Return the time that `share` of the requests did not exceed, in ms; None without requests."""
        rank = max(1, math.ceil(share * self.count))
        seen = 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= rank:
                return 2 * GAMMA**index / (GAMMA + 1)
        return None

    def document(self) -> dict[str, Any]:
        """Return count, mean, quantiles (null without a request), and the counts by bucket."""
        count = self.count
        quantiles = {name: self.quantile(share) for name, share in _QUANTILES.items()}
        return {
            "count": count,
            "mean_ms": round(self.total_ms / count, 2) if count else None,
            **{name: None if value is None else round(value, 2) for name, value in quantiles.items()},
            "buckets": dict(sorted(self.counts.items())),
        }


@dataclass(slots=True)
class EndpointTimes:
    """The times of one method and name. A slow request may be successful or failed."""

    good: Sketch = field(default_factory=Sketch)
    failed: Sketch = field(default_factory=Sketch)
    slow: int = 0
    slow_ms: float = 0.0


class Performance:
    """The times of all endpoints: on a worker those since the last report, on the master those of the run."""

    def __init__(self, limits: SlowLimits) -> None:
        self.limits = limits
        self.endpoints: dict[Key, EndpointTimes] = {}

    def on_request(
        self, request_type: str, name: str, response_time: float | None, exception: Any = None, **_: Any
    ) -> None:
        """Count one request; ignore a request without a time."""
        taken = response_time
        if not (type(taken) is float and 0 <= taken <= LONGEST_MS):
            taken = milliseconds(response_time)
            if taken is None:
                return
        key = request_type, name
        times = self.endpoints.get(key) or self._endpoint(key)
        (times.failed if exception else times.good).add(taken)
        if taken > self.limits.slow_ms:
            times.slow += 1
            times.slow_ms += taken

    def _endpoint(self, key: Key) -> EndpointTimes:
        times = self.endpoints.get(key)
        if times is None:
            if len(self.endpoints) >= MOST_ENDPOINTS:
                key = (key[0], OTHERS)
            times = self.endpoints.setdefault(key, EndpointTimes())
        return times

    def forget(self, **_: Any) -> None:
        """Delete all times, at the moment Locust resets its statistics."""
        self.endpoints = {}

    def taken(self) -> dict[Key, EndpointTimes]:
        """Return the times since the last report, and delete them here."""
        endpoints, self.endpoints = self.endpoints, {}
        return endpoints

    def report(self) -> list[list[Any]]:
        """Return the times since the last report in the wire format, and delete them here."""
        return self.rows(self.taken())

    def rows(self, endpoints: Mapping[Key, EndpointTimes], pause: Callable[[], None] = lambda: None) -> list[list[Any]]:
        """Return times in the wire format; call `pause` between any two."""
        rows: list[list[Any]] = []
        for (method, name), times in endpoints.items():
            pause()
            row: list[Any] = [safe(method, LONGEST_NAME), safe(name, LONGEST_NAME)]
            row += [times.good.counts, times.good.total_ms, times.failed.counts, times.failed.total_ms]
            rows.append([*row, times.slow, times.slow_ms])
        return rows

    def take(self, report: list[list[Any]]) -> None:
        """Add one report of a worker.

        Raises:
            TypeError, ValueError, AttributeError: the report has an unexpected form.

        """
        for method, name, good, good_ms, failed, failed_ms, slow, slow_ms in report:
            times = self._endpoint((str(method), str(name)))
            times.good.merge(good, float(good_ms))
            times.failed.merge(failed, float(failed_ms))
            times.slow += int(slow)
            times.slow_ms += float(slow_ms)

    def bottlenecks(self) -> list[tuple[Key, EndpointTimes]]:
        """Return the endpoints with more slow requests than the limit, sorted by the total time of these requests."""
        slow = [(key, times) for key, times in self.endpoints.items() if times.slow > self.limits.more_than]
        return sorted(slow, key=lambda endpoint: (-endpoint[1].slow_ms, endpoint[0]))[: self.limits.top]

    def document(self, run_id: str) -> dict[str, Any]:
        """Return all times, for the run's folder."""
        return {
            "schema_version": SCHEMA_VERSION,
            "run_id": run_id,
            "slow_is_over_ms": self.limits.slow_ms,
            "gamma": GAMMA,
            "quantiles": f"nearest rank, within {50 * (GAMMA - 1):.0f} %",
            "endpoints": [
                {
                    "method": method,
                    "name": name,
                    "good": times.good.document(),
                    "failed": times.failed.document(),
                    "slow": times.slow,
                    "slow_ms": round(times.slow_ms, 1),
                }
                for (method, name), times in sorted(self.endpoints.items())
            ],
            "bottlenecks": [
                {"method": method, "name": name, "slow": times.slow} for (method, name), times in self.bottlenecks()
            ],
        }

    def lines(self) -> Iterator[str]:
        """Yield the lines for the console at the end of a run; no line if no request was slow."""
        slow = sum(endpoint.slow for endpoint in self.endpoints.values())
        if not slow:
            return
        yield f"Slow requests: {slow} took longer than {self.limits.slow_ms:g} ms"
        for (method, name), times in self.bottlenecks():
            seconds = times.slow_ms / 1000
            p95 = times.good.quantile(0.95)
            good = f", p95 of successful requests {p95:.0f} ms" if p95 is not None else ""
            yield f"  {method} {name}: {plural(times.slow, 'slow request')}, {seconds:.1f} s in total{good}"
