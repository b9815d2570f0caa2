"""The result of each request of HttpUser and FastHttpUser: the account of a worker, and of all workers.

The account's document has these fields:

- `sent`, the requests; `answered`, those with an answer; `reported`, those that Locust was given
- `in_flight`, and the counts of `flights.Endpoint`
- `endpoints`, those with anything but reported answers. Counts of 0 are left out. `waiting`, `cut_waited` and
  `given_up_waited` are pairs of whole seconds and how many requests waited so long
- `sites`, the lines whose answers were never reported
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from locust.env import Environment

from locust_kit.arguments import secrets_of
from locust_kit.connections import RETRIED
from locust_kit.failures.settings import Cleaner
from locust_kit.guard import follow_resets, guarded
from locust_kit.meters.flights import (
    FLIGHTS,
    MOST_FOLLOWED_ENDPOINTS,
    MOST_SITES,
    Flights,
    Key,
    install,
    whole_seconds,
)
from locust_kit.meters.reading import rows, whole
from locust_kit.texts import LONGEST_NAME, OTHERS, safe

logger = logging.getLogger("locust_kit")

_LONG_SECONDS, _MOST_LONG = 5, 3
_RATE_SECONDS = 2.5
_MOST_WORKERS = 100
_WAITS = {"in_flight": "waiting", "cut": "cut_waited", "given_up": "given_up_waited"}
_EVENTS = ("raised", "unreported", "left", "redirects", "retries", "resent")
_MOMENT = ("sent", "reported", "in_flight", "oldest_seconds", "quiet_seconds", "unreported")
_SUMS = ("sent", "answered", "reported", "held", *_WAITS, *_EVENTS)


class RequestMeter:
    """The account of this process's requests."""

    name = "requests"

    def __init__(self, flights: Flights = FLIGHTS, clean: Callable[[str], str] | None = None) -> None:
        self._flights = flights
        self._cleaner = Cleaner(os.environ, MOST_FOLLOWED_ENDPOINTS)
        self._clean = clean or self._cleaner
        self._environment: Environment | None = None
        self._not_followed: list[str] = []
        self._forget()

    def listen(self, environment: Environment) -> None:
        """Follow the clients of this process; begin again where Locust resets its statistics."""
        self._environment = environment
        followed, self._not_followed = install(self._flights)
        said = [f"{', '.join(followed)}: open requests are tracked"] if followed else []
        logger.info("locust-kit: %s", "; ".join(said + self._not_followed))
        environment.events.test_stopping.add_listener(guarded(self._stopping))
        follow_resets(environment, self.begin)

    def begin(self) -> None:
        """Forget the counts: a run begins."""
        self._flights.begin()
        self._forget()
        if self._environment:
            self._cleaner.know(secrets_of(self._environment))

    def _forget(self) -> None:
        self._retries = RETRIED.total
        now = self._flights.clock()
        self._per_second, self._rated = 0, (now, 0)
        self._over, self._over_at = 0, now

    def _stopping(self, **_: Any) -> None:
        self._flights.stopping()

    def document(self) -> dict[str, Any]:
        """Return the account since the run's start."""
        flights = self._flights
        flights.settle()
        own = list(self._rows())
        counts = {name: sum(row.get(name, 0) for row in own) for name in (*_WAITS, *_EVENTS)}
        answered, held = flights.answered, len(flights.answers)
        sent = answered + sum(counts[name] for name in _WAITS)
        return {
            "sent": sent,
            "answered": answered,
            "reported": answered - counts["unreported"] - counts["left"] - held,
            "held": held,
            **counts,
            "retries": RETRIED.total - self._retries,
            "per_second": self._rate(sent),
            "quiet_seconds": self._quiet(sent - counts["in_flight"]),
            "endpoints": _together(own),
            "sites": [{"place": site.place, "count": site.unreported} for site in flights.sites()],
            "not_followed": "; ".join(self._not_followed),
        }

    def _rate(self, sent: int) -> int:
        """Return the requests sent per second, over the last few seconds."""
        now, (since, before) = self._flights.clock(), self._rated
        if now - since >= _RATE_SECONDS:
            self._per_second, self._rated = max(0, round((sent - before) / (now - since))), (now, sent)
        return self._per_second

    def _quiet(self, over: int) -> int:
        """Return for how many seconds no request has ended, according to the reports."""
        now = self._flights.clock()
        if over != self._over:
            self._over, self._over_at = over, now
        return int(now - self._over_at)

    def _rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of each method and name; open requests are in separate rows."""
        waiting: dict[Key, Counter[int]] = {}
        for key, seconds in self._flights.waiting():
            waiting.setdefault(key, Counter())[whole_seconds(seconds)] += 1
        for key, waits in waiting.items():
            yield {**self._named(key), **_waited("in_flight", waits)}
        for key, endpoint in self._flights.endpoints.items():
            events = {name: count for name in _EVENTS if (count := getattr(endpoint, name))}
            cut, given_up = _waited("cut", endpoint.cut), _waited("given_up", endpoint.given_up)
            yield {**self._named(key), **cut, **given_up, **events}

    def _named(self, key: Key) -> dict[str, str]:
        method, name = (safe(part, LONGEST_NAME) for part in key)
        return {"method": method, "name": self._clean(name)}

    @staticmethod
    def merged(by_worker: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return the account of all workers; `workers` has the sent requests of each, for lost workers."""
        sums: Counter[str] = Counter()
        sites: Counter[str] = Counter()
        endpoints: list[dict[str, Any]] = []
        for document in by_worker.values():
            sums.update({name: whole(document.get(name)) for name in _SUMS})
            for site in rows(document.get("sites")):
                sites[str(site.get("place"))] += whole(site.get("count"))
            endpoints += map(_row, rows(document.get("endpoints")))
        together = _together(endpoints)
        return {
            **{name: sums[name] for name in _SUMS},
            "oldest_seconds": max((row["waiting"][-1][0] for row in together if "waiting" in row), default=0),
            "quiet_seconds": min((whole(document.get("quiet_seconds")) for document in by_worker.values()), default=0),
            "endpoints": together,
            "sites": [{"place": place, "count": count} for place, count in sites.most_common(MOST_SITES)],
            "not_followed": sorted({str(by["not_followed"]) for by in by_worker.values() if by.get("not_followed")}),
            "workers": {
                worker: {name: whole(document.get(name)) for name in ("sent", "per_second")}
                for worker, document in list(by_worker.items())[:_MOST_WORKERS]
            },
        }

    @staticmethod
    def moment(merged: Mapping[str, Any]) -> dict[str, Any]:
        """Return the open requests, and `long`: method, name, count and longest wait of requests that wait for long."""
        long = [
            [row["method"], row["name"], row["in_flight"], row["waiting"][-1][0]]
            for row in merged["endpoints"]
            if "waiting" in row and row["waiting"][-1][0] >= _LONG_SECONDS
        ]
        return {
            **{name: merged[name] for name in _MOMENT},
            "long": sorted(long, key=lambda row: -row[3])[:_MOST_LONG],
        }


def _waited(name: str, waits: Mapping[int, int]) -> dict[str, Any]:
    return {name: sum(waits.values()), _WAITS[name]: sorted(waits.items())} if waits else {}


def _together(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each method and name; of more than 200, the longest waits and one row for the others."""
    by_key: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        by_key.setdefault((row["method"], row["name"]), []).append(row)
    ranked = sorted(by_key.items(), key=lambda item: -max(map(_longest, item[1])))
    others: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for (method, _), of_key in ranked[MOST_FOLLOWED_ENDPOINTS:]:
        others.setdefault((method, OTHERS), []).extend(of_key)
    return [_sum(*item) for item in (*ranked[:MOST_FOLLOWED_ENDPOINTS], *others.items())]


def _row(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return a worker's figures of an endpoint; leave out values that are not figures."""
    return {
        "method": str(sent.get("method")),
        "name": str(sent.get("name")),
        **{name: whole(sent.get(name)) for name in (*_WAITS, *_EVENTS)},
        **{waits: pairs for waits in _WAITS.values() if (pairs := _pairs(sent.get(waits)))},
    }


def _pairs(value: Any) -> list[list[int]]:
    pairs = [pair for pair in value if isinstance(pair, list | tuple)] if isinstance(value, list | tuple) else []
    return sorted([whole(pair[0]), whole(pair[1])] for pair in pairs if len(pair) == 2)


def _longest(row: Mapping[str, Any]) -> int:
    return max((row[waits][-1][0] for waits in _WAITS.values() if row.get(waits)), default=0)


def _sum(key: tuple[str, str], rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {"method": key[0], "name": key[1]}
    for name in (*_WAITS, *_EVENTS):
        if count := sum(row.get(name, 0) for row in rows):
            total[name] = count
    for waits in _WAITS.values():
        pairs: Counter[int] = Counter()
        for row in rows:
            for seconds, count in row.get(waits, ()):
                pairs[seconds] += count
        if pairs:
            total[waits] = sorted([seconds, count] for seconds, count in pairs.items())
    return total
