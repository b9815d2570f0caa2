"""Find requests that Locust's figures leave out: without an answer, or never reported. Pure.

Locust counts a request when it has ended. A request that hangs until the run's end is in no figure, nor is one made
with `catch_response=True` without `with`. The target had to serve both. The plugin counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sidecar.common.units import plural
from sidecar.model.run_record import Moment, RunRecord, objects, whole
from sidecar.report.verdict.reason import InvalidReason
from sidecar.report.verdict.thresholds import spreads_of

METER = "requests"
_TIMES_LONGER = 3
_MOST_NAMED = 3
_RUNNING = frozenset({"spawning", "running"})

Key = tuple[str, str]
"""Method and name."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Requests of one method and name that never got an answer.

    Attributes:
        method, name: of the requests.
        count: the number of requests.
        given_up: how many of them the test's own code gave up on.
        waiting: how many of them were still waiting at their worker's last report.
        oldest_seconds: the longest wait.

    """

    method: str
    name: str
    count: int
    given_up: int
    waiting: int
    oldest_seconds: float

    @property
    def key(self) -> Key:
        """The method and the name."""
        return self.method, self.name

    @property
    def text(self) -> str:
        """Say it in one line."""
        were = "was never answered, it" if self.count == 1 else "were never answered, the oldest"
        own = f"; the test's own code gave up {self.given_up} of them" if self.given_up else ""
        requests = plural(self.count, "request")
        return f"{requests} of {self.method} {self.name} {were} waited {self.oldest_seconds:.0f} s{own}".strip()


def unanswered(record: RunRecord, stuck_seconds: float) -> tuple[Unanswered, ...]:
    """Return the requests without an answer, the most first; nothing during the run, or if `stuck_seconds` is 0.

    The test's own code gave up on them, or they waited for `stuck_seconds` and for three times the p99 of the
    endpoint's successful requests. They were then cut off, or still waiting at the last report.
    """
    if not stuck_seconds or record.is_running:
        return ()
    usual = _usual_seconds(record, 0.99)
    found = [
        _of_endpoint(row, max(stuck_seconds, _TIMES_LONGER * usual.get(_key(row), 0.0)))
        for row in objects((record.meters.get(METER) or {}).get("endpoints"))
    ]
    return tuple(sorted((endpoint for endpoint in found if endpoint.count), key=lambda endpoint: -endpoint.count))


def _of_endpoint(row: Mapping[str, Any], limit: float) -> Unanswered:
    given_up = _waits(row, "given_up_waited")
    cut, waiting = (
        [(seconds, count) for seconds, count in _waits(row, name) if seconds >= limit]
        for name in ("cut_waited", "waiting")
    )
    own, still, stopped = (sum(count for _, count in waits) for waits in (given_up, waiting, cut))
    oldest = max((seconds for seconds, _ in (*cut, *waiting, *given_up)), default=0)
    return Unanswered(*_key(row), own + still + stopped, own, still, oldest)


def total(found: tuple[Unanswered, ...]) -> int:
    """Return the number of these requests."""
    return sum(endpoint.count for endpoint in found)


def none_came_back(record: RunRecord) -> str:
    """Return how many requests were waiting at the end of a run without any answer; "" if no request was."""
    account = record.meters.get(METER) or {}
    sent = whole(account.get("cut")) + whole(account.get("in_flight"))
    return f"no request was answered: {sent} were still waiting when the run ended" if sent else ""


def lines(found: tuple[Unanswered, ...]) -> tuple[str, ...]:
    """Return a line for each of the first endpoints, and one for the others."""
    others = found[_MOST_NAMED:]
    more = plural(sum(endpoint.count for endpoint in others), "request")
    said = (f"{more} of {plural(len(others), 'other name')} were never answered",) if others else ()
    return (*(endpoint.text for endpoint in found[:_MOST_NAMED]), *said)


def unreported(record: RunRecord) -> Iterator[InvalidReason]:
    """Yield that answers were never reported to Locust."""
    account = record.meters.get(METER) or {}
    count = whole(account.get("unreported"))
    if not count:
        return
    places = _places(account.get("sites") or [], counts=not record.is_running)
    # During the run the count is left out: it changes each second, and this text would change, too.
    answers = "answers were" if record.is_running else "1 answer was" if count == 1 else f"{count} answers were"
    yield InvalidReason("unreported", f"{answers} never reported: catch_response=True without `with` at {places}")


def _places(sites: Iterable[Mapping[str, Any]], *, counts: bool) -> str:
    """Return `locustfile.py:14 (600), :22 (121)`: the most frequent first, each file's name once."""
    ranked = sorted(sites, key=lambda site: -whole(site.get("count")) if counts else 0)
    named, last = [], ""
    for site in ranked[: 2 * _MOST_NAMED]:
        file, _, line = str(site.get("place") or "?").rpartition(":")
        count = f" ({whole(site.get('count'))})" if counts else ""
        named.append(f"{'' if file == last else file}:{line}{count}")
        last = file
    more = len(ranked) - len(named)
    return ", ".join(named) + (f" and {plural(more, 'more line')}" if more > 0 else "")


@dataclass(frozen=True, slots=True)
class Standstill:
    """A span in which requests were waiting, and none finished.

    Attributes:
        at: when it began.
        seconds: how long it lasted.
        users: the number of running users.
        endpoint: the endpoint of the longest waiting request.
        waited_seconds: how long this request had waited.

    """

    at: datetime
    seconds: float
    users: int
    endpoint: str
    waited_seconds: float

    @property
    def text(self) -> str:
        """Say it in one line."""
        users = f"with {plural(self.users, 'user')} running"
        waited = f"{self.endpoint} had waited {self.waited_seconds:.0f} s"
        return f"no request finished for {self.seconds:.0f} s, from {self.at:%H:%M:%S} UTC, {users}: {waited}"


def stall(record: RunRecord, stuck_seconds: float) -> Standstill | None:
    """Return the longest span of at least `stuck_seconds` in which no request finished; None without one.

    A pausing test has no waiting request. A test whose requests always take that long is not stuck: a request must
    have waited for more than three times the endpoint's median.
    """
    if not stuck_seconds:
        return None
    usual = _usual_seconds(record, 0.5)
    longest: Standstill | None = None
    begun: Moment | None = None
    for moment in record.moments:
        if moment.state not in _RUNNING or not moment.users or not whole(_account(moment).get("in_flight")):
            begun = None
        elif begun is None or moment.requests != begun.requests:
            begun = moment
        else:
            seconds = (moment.at - begun.at).total_seconds()
            waiting = _stuck(moment, stuck_seconds, usual)
            if waiting and seconds >= max(stuck_seconds, longest.seconds if longest else 0.0):
                longest = Standstill(begun.at, seconds, moment.users, *waiting)
    return longest


def _stuck(moment: Moment, stuck_seconds: float, usual: Mapping[Key, float]) -> tuple[str, float] | None:
    """Return the endpoint whose oldest request waits unusually long, and how long."""
    for method, name, _, seconds in _account(moment).get("long") or []:
        if seconds >= max(stuck_seconds, _TIMES_LONGER * usual.get((method, name), 0.0)):
            return f"{method} {name}".strip(), float(seconds)
    return None


def _account(moment: Moment) -> Mapping[str, Any]:
    return moment.meters.get(METER) or {}


def _usual_seconds(record: RunRecord, share: float) -> dict[Key, float]:
    """Return the quantile of the successful requests of each method and name, in seconds."""
    spreads = spreads_of(record.performance)
    return {(spread.method, spread.name): (spread.good.quantile(share) or 0.0) / 1000 for spread in spreads}


def _key(row: Mapping[str, Any]) -> Key:
    return str(row.get("method") or ""), str(row.get("name") or "")


def _waits(row: Mapping[str, Any], name: str) -> list[tuple[int, int]]:
    return [(int(seconds), int(count)) for seconds, count in row.get(name) or []]
