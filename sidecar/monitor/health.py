"""Checks whether the master, its statistics, the monitor, the target and other named endpoints answer.

A thread of its own asks every few seconds, so that an endpoint that hangs does not delay a round. One minute of answers
is one row of the history.
"""

from __future__ import annotations

import http.client
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sidecar.common.errors import why_unreachable
from sidecar.common.records import shared
from sidecar.common.redaction import Redactor
from sidecar.common.repeated import Repeated
from sidecar.common.web_guard import authorization
from sidecar.locust_api.connection import tls_context
from sidecar.model.history import HealthMinute
from sidecar.model.snapshot import Health

_log = logging.getLogger(__name__)

MASTER, STATISTICS, SIDECAR, TARGET = "master", "statistics", "sidecar", "target"

_TIMEOUT_SECONDS = 5.0
_NO_ANSWER = f"no answer within {_TIMEOUT_SECONDS:.0f} s"
_SERVER_ERROR = 500
_UPTIME = timedelta(hours=24)
_MOST_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class CheckedEndpoint:
    """One endpoint to check: its name, its URL, and the password of our own pages."""

    name: str
    url: str
    password: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """The URL without secrets."""
        return Redactor().text(self.url)


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """The status, or the error. `passed` is true for any answer below 500, a login page included."""

    passed: bool
    response_ms: float
    status: int | None = None
    error: str = ""


def ask(url: str, password: str = "", clock: Callable[[], float] = time.monotonic) -> HealthAnswer:
    """Request one URL once, with GET. Redirects count as answers. Certificates are not checked: users do that."""
    began = clock()
    try:
        parts = urlsplit(url)
        connection = _connection(parts.scheme, parts.hostname or "", parts.port)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", path, headers={"User-Agent": "locust-kit health", **authorization(password)})
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return HealthAnswer(
            passed=False, response_ms=1000 * (clock() - began), error=why_unreachable(error, _NO_ANSWER)
        )
    passed = status < _SERVER_ERROR
    return HealthAnswer(passed, 1000 * (clock() - began), status, "" if passed else f"it answers {status}")


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme not in {"http", "https"}:
        raise ValueError(scheme)
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=tls_context(verify=False))


@dataclass(slots=True)
class _EndpointRecord:
    """The state of one endpoint: its last answer, since when, and its minutes of the last day."""

    endpoint: CheckedEndpoint
    health: Health
    minutes: deque[HealthMinute] = field(default_factory=lambda: deque(maxlen=_MOST_MINUTES))


@dataclass(eq=False)
class HealthChecker(Repeated):
    """Checks the endpoints in turn, keeps the last day, and passes each full minute to the history.

    Args:
        endpoints: returns the endpoints to check now; they may change, as the target does from run to run.
        keep: takes rows for the history.
        earlier: rows of the last day, from an earlier monitor.
        clock: the time of day.
        interval_seconds: time between two rounds of checks.
        ask_one: asks one URL, with the password of our own pages or "".
    """

    endpoints: Callable[[], Iterable[CheckedEndpoint]]
    keep: Callable[[Sequence[HealthMinute]], None]
    earlier: Sequence[HealthMinute]
    clock: Callable[[], datetime]
    interval_seconds: float
    ask_one: Callable[[str, str], HealthAnswer] = ask
    _records: dict[str, _EndpointRecord] = field(default_factory=dict, init=False)
    _known: tuple[Health, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        """Prepare the thread; it checks nothing before `start`."""
        super().__init__("health")

    def stop(self, patience_seconds: float | None = _TIMEOUT_SECONDS + 1) -> None:
        """Stop, and pass the current minute to the history."""
        super().stop(patience_seconds)
        self.keep([record.minutes[-1] for record in self._records.values() if record.minutes])

    def known(self) -> tuple[Health, ...]:
        """Return the last answer of every endpoint. For any thread."""
        return self._known

    def check_all(self) -> None:
        """Check every endpoint once."""
        endpoints = list(self.endpoints())
        for endpoint in endpoints:
            self._note(endpoint, self.ask_one(endpoint.url, endpoint.password))
        names = {endpoint.name for endpoint in endpoints}
        self._records = {name: record for name, record in self._records.items() if name in names}
        self._known = tuple(self._records[endpoint.name].health for endpoint in endpoints)

    def turn(self) -> float:
        """Check every endpoint once."""
        self.check_all()
        return self.interval_seconds

    def _note(self, endpoint: CheckedEndpoint, answer: HealthAnswer) -> None:
        now = self.clock()
        record = self._records.get(endpoint.name)
        if record is None or record.endpoint != endpoint:
            record = _EndpointRecord(endpoint, Health(endpoint.name, endpoint.shown, answer.passed, now, now))
            record.minutes.extend(
                minute
                for minute in sorted(self.earlier, key=lambda minute: minute.at)
                if (minute.name, minute.url) == (endpoint.name, endpoint.shown)
            )
            self._records[endpoint.name] = record
        self._add_to_minute(record, answer, now)
        since = record.health.since if record.health.passed == answer.passed else now
        record.health = replace(
            record.health,
            **shared(answer, Health) | {"response_ms": round(answer.response_ms, 1)},
            at=now,
            since=since,
            uptime_percent=_uptime(record.minutes, now),
        )

    def _add_to_minute(self, record: _EndpointRecord, answer: HealthAnswer, now: datetime) -> None:
        minute = now.replace(second=0, microsecond=0)
        last = record.minutes[-1] if record.minutes else None
        if last is None or last.at != minute:
            if last is not None:
                self.keep([last])
            last = HealthMinute(minute, record.endpoint.name, record.health.url)
            record.minutes.append(last)
        record.minutes[-1] = replace(
            last,
            checks=last.checks + 1,
            passed=last.passed + answer.passed,
            total_ms=last.total_ms + answer.response_ms,
            most_ms=max(last.most_ms, answer.response_ms),
            error=answer.error or last.error,
        )


def _uptime(minutes: Iterable[HealthMinute], now: datetime) -> float | None:
    """Return the share of checks that passed in the last day, in percent."""
    recent = [minute for minute in minutes if now - minute.at <= _UPTIME]
    checks = sum(minute.checks for minute in recent)
    return round(100 * sum(minute.passed for minute in recent) / checks, 3) if checks else None
