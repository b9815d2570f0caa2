"""Forecast when a container will be OOM-killed if its memory keeps growing; no forecast when unsure. Pure.

A false alarm costs more than a late one. So only a clear leak gets a forecast. It must meet all of these:

- It is above 44 % of the limit. Below that, any growth may still level off.
- It was much lower before: the level has grown fourfold, or, over more time than one collection cycle, by twice the
  memory that is left. Garbage collection and the memory of new users seldom grow so much. A container that has just
  started began at zero.
- From there to now it rose in a straight line. Growth that slows down (caches that fill, a start-up) is curved, and a
  stretch with collections has dips. With many readings the rule is stricter and must hold several times.
- It has never come down by itself from about the same height.

The rules look at the working set. The kernel enforces the limit on raw usage, but it gives the page cache back before
it kills anything. So raw usage at the limit with a flat working set is no danger. A working set that rises while the
usage below the limit does not rise is page cache too: it was read twice and counts as active now.

If collections cause dips, the same rules apply to the lows after the collections.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sidecar.incidents.trace import MemoryReading, Pair, Trace, TurningPoints, fit_line, part_of_time
from sidecar.model.snapshot import Container

LEAST_LEVEL = 0.44  # of the limit: a few rounds below half, so that a forecast exists when half is reached
GROWN_TIMES = 4.0
GROWN_TO_REST = 2.0
ABOVE_EARLIER_PEAK = 1.25
LEAST_READINGS = 4
LEAST_READINGS_FROM_START = 3  # the start, with no memory at all, is the fourth
MOST_OFF = 0.07  # of the rise: how far a reading may be from the line
HALVES = (0.8, 1.3)  # how much steeper the second half may be than the first
HALVES_OF_MANY = (0.85, 1.2)
THIRD = (0.7, 1.4)  # the last third against all
STALLED = 0.4  # of the growth that the line predicts for the last readings
MANY_READINGS = 16  # from here on the slope of the second half counts, so that the forecast follows a change of slope
AGREED = 3  # rounds that must agree, if there are many readings
CYCLE_SECONDS = 120.0  # within this time, the first rise of a collector that starts high looks like a leak
PINNED = 0.95  # of the limit: raw usage this high cannot grow any more
HORIZON_SECONDS = 6 * 3600.0
LAST_SECONDS = 0.3  # measured from the limit to the end: the kernel tries to reclaim memory, then kills a process
_Run = tuple[datetime | None, int]  # the start, and the OOM kills so far: memory starts again after each


class Forecast:
    """Forecasts one container's OOM kill, within one start of the container. Fed once a round.

    Args:
        started_seconds: when the container started, by the clock of the readings; its memory was zero then. None if
            unknown.
    """

    def __init__(self, started_seconds: float | None = None) -> None:
        self._started_seconds = started_seconds
        self._trace = Trace()
        self._turning_points = TurningPoints()
        self._agreed = 0
        self._eta_seconds: float | None = None

    def __len__(self) -> int:
        """Return how many readings are kept."""
        return len(self._trace) + len(self._turning_points)

    def add(
        self, at_seconds: float, working_set_bytes: float, usage_bytes: float, limit_bytes: float | None
    ) -> float | None:
        """Add one reading; return the seconds from it to the expected OOM kill, or None if no kill is expected.

        A reading that is not newer than the one before is a repetition and gets the same answer.
        """
        latest = self._trace.latest()
        if latest is not None and at_seconds <= latest.at_seconds:
            return self._eta_seconds
        self._trace.add(MemoryReading(at_seconds, working_set_bytes, usage_bytes, working_set_bytes))
        self._eta_seconds = None
        if limit_bytes:
            self._turning_points.add((at_seconds, working_set_bytes), limit_bytes)
            if working_set_bytes >= LEAST_LEVEL * limit_bytes:
                self._eta_seconds = self._forecast(float(working_set_bytes), limit_bytes)
        return self._eta_seconds

    def _forecast(self, level: float, limit: float) -> float | None:
        rising = self._rise(level, limit)
        eta = self._straight(rising, level, limit)
        if eta is None:
            eta = self._lows(limit)
        self._agreed = min(AGREED, self._agreed + 1) if eta is not None else max(0, self._agreed - 1)
        if eta is None or eta > HORIZON_SECONDS:
            return None
        return eta if self._agreed == AGREED or len(rising) < MANY_READINGS else None

    def _rise(self, level: float, limit: float) -> list[MemoryReading]:
        """Return the readings from a level low enough to now; [] if it never was that low, or not for long enough."""
        points = self._trace.since_low(level / GROWN_TIMES)
        if len(points) >= LEAST_READINGS:
            return points
        if self._started_seconds is not None:
            points = self._trace.all()
            began_at_nothing = abs(fit_line(_pairs(points)).at(self._started_seconds)) <= level / GROWN_TIMES
            if began_at_nothing and len(points) >= LEAST_READINGS_FROM_START:
                return points
        points = self._trace.since_low(level - GROWN_TO_REST * (limit - level))
        lasted = points[-1].at_seconds - points[0].at_seconds if points else 0.0
        return points if lasted > CYCLE_SECONDS and len(points) >= LEAST_READINGS else []

    def _straight(self, points: Sequence[MemoryReading], level: float, limit: float) -> float | None:
        if not points or _cache_only(points, limit) or self._came_down(points[0].at_seconds, level):
            return None
        pace = steady_pace(_pairs(points))
        return None if pace is None else max(0.0, limit - level) / pace + LAST_SECONDS

    def _came_down(self, before_seconds: float, level: float) -> bool:
        return self._trace.highest_before(before_seconds) * ABOVE_EARLIER_PEAK > level

    def _lows(self, limit: float) -> float | None:
        """Forecast from the lows between collections: the next peak that reaches the limit ends the container."""
        lows, height, now = self._turning_points.lows(), self._turning_points.height(), self._trace.latest()
        if now is None or not lows:
            return None
        level = lows[-1][1]
        rest = limit - level - height
        low = max(level / GROWN_TIMES, level - GROWN_TO_REST * max(rest, 0.0))
        since = next((place for place in range(len(lows) - 1, -1, -1) if lows[place][1] <= low), None)
        if since is None or len(lows) - since <= LEAST_READINGS or lows[-1][0] - lows[since][0] <= CYCLE_SECONDS:
            return None
        pace = steady_pace(lows[since:])
        if pace is None or self._came_down(lows[since][0], level):
            return None
        return max(0.0, rest / pace - (now.at_seconds - lows[-1][0]))


def steady_pace(pairs: Sequence[Pair]) -> float | None:
    """Return the bytes per second at which three or more readings rise now; None if they are not a straight line."""
    whole = fit_line(pairs)
    rise = pairs[-1][1] - pairs[0][1]
    pace = whole.bytes_per_second
    if rise <= 0 or pace <= 0 or whole.off_bytes > MOST_OFF * rise or _stalled(pairs):
        return None
    many = len(pairs) >= MANY_READINGS
    first = fit_line(part_of_time(pairs, 0.0, 0.5)).bytes_per_second
    second = fit_line(part_of_time(pairs, 0.5, 1.0)).bytes_per_second
    third = fit_line(part_of_time(pairs, 2 / 3, 1.0)).bytes_per_second
    if not _within(second, first, HALVES_OF_MANY if many else HALVES) or not _within(third, pace, THIRD):
        return None
    return second if many else pace


def _pairs(points: Sequence[MemoryReading]) -> list[Pair]:
    return [(point.at_seconds, point.working_set_bytes) for point in points]


def _within(value: float, of: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] * of <= value <= bounds[1] * of


def _stalled(pairs: Sequence[Pair]) -> bool:
    """Return whether the last few readings grew far less than the earlier ones predict, by more than their noise."""
    for back in (3, 6):
        if len(pairs) >= back + LEAST_READINGS:
            before = fit_line(pairs[:-back])
            gained = pairs[-1][1] - pairs[-1 - back][1]
            expected = before.bytes_per_second * (pairs[-1][0] - pairs[-1 - back][0])
            if expected > 2 * before.off_bytes and gained < STALLED * expected:
                return True
    return False


def _cache_only(points: Sequence[MemoryReading], limit: float) -> bool:
    """Return whether the working set grew and the usage did not: page cache became active."""
    first, last = points[0], points[-1]
    if last.usage_bytes >= PINNED * limit:
        return False
    grown = last.working_set_bytes - first.working_set_bytes
    return last.usage_bytes - first.usage_bytes < grown / 2


class Forecasts:
    """The forecasts of all containers. A restart, or an OOM kill that the container survived, begins a new one."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[_Run, Forecast]] = {}

    def update(self, containers: Iterable[Container]) -> Mapping[str, float]:
        """Add one round's readings; return the seconds to the expected OOM kill by container id.

        A container that is missing in `containers` is forgotten. A container without figures keeps its forecast.
        """
        before, self._kept = self._kept, {}
        etas: dict[str, float] = {}
        for container in containers:
            run = (container.started_at, container.oom_kills or 0)
            known = before.get(container.id)
            forecast = known[1] if known and known[0] == run else _begin(container, known[0] if known else None)
            self._kept[container.id] = (run, forecast)
            eta = _add(forecast, container)
            if eta is not None:
                etas[container.id] = eta
        return etas


def _begin(container: Container, before: _Run | None) -> Forecast:
    same_start = before is not None and before[0] == container.started_at
    if container.started_at is None or same_start:
        return Forecast()  # after a kill inside the container, the remaining memory did not start at zero
    return Forecast(container.started_at.timestamp())


def _add(forecast: Forecast, container: Container) -> float | None:
    at, working_set, usage = container.sampled_at, container.memory_working_set_bytes, container.memory_usage_bytes
    if container.state != "running" or at is None or working_set is None or usage is None:
        return None
    return forecast.add(at.timestamp(), working_set, usage, container.memory_limit_bytes)
