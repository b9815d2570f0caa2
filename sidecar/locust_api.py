"""The Locust master's web API, and the kit's plugin beside it, read with distrust.

A master behind a login redirects, one whose login is half configured answers 200 with a sentence, a foreign server may
answer anything at all, and the names of the percentiles have moved once already: each of these ends in a reading
without figures and a text that says why, never in an exception.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from sidecar.model.observation import LocustReading, MasterStats, MasterWorker, PluginRun, PluginStatus
from sidecar.model.text import clean
from sidecar.model.times import docker_time

Payload = Mapping[str, Any]  # JSON of the master; each value is checked where it is read

_MOST_BYTES = 16 * 1024 * 1024  # 500 rows and 500 errors are far below; more is not an answer but an accident
_MISSING = "missing"


class LocustApi:
    """Reads the master at `url` over one kept-alive connection; no call waits longer than `timeout_seconds`.

    Not for use from two threads at once.
    """

    def __init__(self, url: str, timeout_seconds: float = 2.0) -> None:
        self._url: SplitResult = urlsplit(url)
        self._timeout_seconds = timeout_seconds
        self._connection: http.client.HTTPConnection | None = None

    def read(self) -> LocustReading:
        """Visit the master once. Never raises for what the master does or fails to do."""
        try:
            stats = parse_stats(self._json("/stats/requests"))
        except MasterError as error:
            return LocustReading(stats=None, error=str(error), plugin=None)
        return LocustReading(stats=stats, error=None, plugin=self._plugin())

    def close(self) -> None:
        """Close the connection; the next reading opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _plugin(self) -> PluginStatus | None:
        try:
            return parse_plugin(self._json("/locust-kit/status"))
        except MasterError:
            return None  # a company's own Locust image need not have the plugin

    def _json(self, path: str) -> Payload:
        status, headers, body = self._get(self._url.path.rstrip("/") + path)
        return checked_json(status, headers.get("content-type", ""), headers.get("location", ""), body)

    def _get(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        where = self._url.netloc
        try:
            return self._fresh_or_kept(lambda connection: _exchange(connection, path))
        except TimeoutError as error:
            raise MasterError(f"{where} did not answer within {self._timeout_seconds:g} s") from error
        except socket.gaierror as error:
            raise MasterError(f"the name {self._url.hostname} is not known: is the master running?") from error
        except ConnectionRefusedError as error:
            raise MasterError(f"{where} refuses connections: is the master starting?") from error
        except OSError as error:
            raise MasterError(f"{where} cannot be reached: {error.strerror or error}") from error
        except http.client.HTTPException as error:
            raise MasterError(f"{where} does not speak HTTP: {type(error).__name__}") from error

    def _fresh_or_kept(
        self, exchange: Callable[[http.client.HTTPConnection], tuple[int, Mapping[str, str], bytes]]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Use the kept connection; a kept one that the master has closed meanwhile is replaced once."""
        kept, self._connection = self._connection, None
        if kept is not None:
            try:
                answer = exchange(kept)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                kept.close()
            except BaseException:
                kept.close()
                raise
            else:
                self._connection = kept
                return answer
        fresh = self._connect()
        try:
            answer = exchange(fresh)
        except BaseException:
            fresh.close()
            raise
        self._connection = fresh
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        return kind(self._url.hostname or "", self._url.port, timeout=self._timeout_seconds)


class MasterError(Exception):
    """The master gave no figures; the text says why, in one line."""


def _exchange(connection: http.client.HTTPConnection, path: str) -> tuple[int, Mapping[str, str], bytes]:
    connection.request("GET", path, headers={"Accept": "application/json"})
    answer = connection.getresponse()
    body = answer.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def checked_json(status: int, content_type: str, location: str, body: bytes) -> Payload:
    """Accept only a JSON object with status 200.

    Raises:
        MasterError: anything else, told by its likely cause.

    """
    if http.client.MULTIPLE_CHOICES <= status < http.client.BAD_REQUEST:
        if "login" in location:
            raise MasterError("the master asks for a login (--web-login), so its figures cannot be read")
        raise MasterError(f"the master redirects to {clean(location)[:80]!r}")
    if status != http.client.OK:
        raise MasterError(f"the master answers with status {status}")
    if not body:
        raise MasterError("the master's answer is empty")
    if "json" not in content_type.lower():
        start = clean(body[:60].decode("utf-8", "replace"))
        raise MasterError(f"the master answers {content_type or 'an unnamed type'} instead of JSON: {start!r}")
    try:
        value = json.loads(body)
    except ValueError as error:
        raise MasterError("the master's JSON is broken") from error
    if not isinstance(value, dict):
        raise MasterError("the master's JSON is no object")
    return value


def parse_stats(answer: Payload) -> MasterStats:
    """Read `/stats/requests`. A figure that is absent or of the wrong kind counts as zero, a percentile as unknown."""
    rows = [row for row in _list(answer.get("stats")) if isinstance(row, dict)]
    total = next((row for row in rows if row.get("name") == "Aggregated"), {})
    workers = tuple(
        MasterWorker(
            id=clean(str(worker.get("id", "?"))),
            state=clean(str(worker.get("state", "?"))),
            users=int(_number(worker.get("user_count"))),
            cpu_percent=_number(worker.get("cpu_usage")),
            memory_bytes=int(_number(worker.get("memory_usage"))),
        )
        for worker in _list(answer.get("workers"))
        if isinstance(worker, dict)
    )
    return MasterStats(
        state=clean(str(answer.get("state", "unknown"))),
        users=int(_number(answer.get("user_count"))),
        rps=_number(answer.get("current_rps", answer.get("total_rps"))),
        fail_per_second=_number(answer.get("current_fail_per_sec")),
        fail_ratio=_number(answer.get("fail_ratio")),
        p50_ms=_response_time(answer, total, 0.5, "median_response_time"),
        p95_ms=_response_time(answer, total, 0.95, "response_time_percentile_0.95"),
        workers_connected=sum(1 for worker in workers if worker.state != _MISSING),
        workers=workers,
    )


def _response_time(answer: Payload, total: Payload, wanted: float, of_whole_run: str) -> float | None:
    """Take the percentile of the last seconds; else that of the whole run; None before the first request."""
    if not _number(total.get("num_requests")):
        return None
    current = _percentile(answer, wanted)
    return _optional(total.get(of_whole_run)) if current is None else current


def _percentile(answer: Payload, wanted: float) -> float | None:
    """Find a current percentile by the number its key ends in: `..._0.95` today, `..._95` before 2024."""
    current = answer.get("current_response_time_percentiles")
    for key, value in (current if isinstance(current, dict) else answer).items():
        tail = str(key).rpartition("percentile_")[2]
        try:
            number = float(tail)
        except ValueError:
            continue
        if number in (wanted, wanted * 100):
            return _optional(value)
    return None


def parse_plugin(answer: Payload) -> PluginStatus:
    """Read `/locust-kit/status`, tolerating whatever is absent."""
    run, locustfile, workers = answer.get("run"), answer.get("locustfile"), answer.get("workers")
    return PluginStatus(
        run=PluginRun(
            run_id=clean(str(run.get("run_id", "?"))),
            state=clean(str(run.get("state", "?"))),
            started_at=docker_time(run.get("started_at")),
        )
        if isinstance(run, dict)
        else None,
        master_changed=_changed(locustfile),
        workers_changed={
            str(worker): _changed(entry) for worker, entry in (workers if isinstance(workers, dict) else {}).items()
        },
    )


def _changed(entry: object) -> tuple[str, ...]:
    names = entry.get("changed_on_disk") if isinstance(entry, dict) else None
    return tuple(clean(str(name)) for name in _list(names))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def _optional(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
