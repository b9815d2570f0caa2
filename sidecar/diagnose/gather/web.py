"""Read the two pages: the master's web API, and the monitor's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from sidecar.client.reader import MonitorError, NotReadyError, SidecarReader
from sidecar.common.times import docker_time, format_time
from sidecar.diagnose.evidence import ErrorRow, KnownIncident, ListedWorker, MasterFacts, MonitorFacts, Pair
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import (
    Credentials,
    MasterDownError,
    MasterError,
    MasterGuardedError,
    MasterSlowError,
)
from sidecar.model.incident import Incident

_CALL_SECONDS = 4.0
_MOST_ROWS = 60
_HISTORY = timedelta(hours=24)
_AUTH_TEXT = "Locust auth exception"


def master(url: str, credentials: Credentials) -> MasterFacts:
    """Ask the master about itself, its workers and the requests."""
    web = LocustApi(url, _CALL_SECONDS, credentials=credentials)
    try:
        stats = web.stats()
    except MasterDownError as error:
        return MasterFacts(url, "down", error.what)
    except MasterSlowError as error:
        return MasterFacts(url, "slow", error.what)
    except MasterGuardedError as error:
        return _guarded(web, url, error)
    except (MasterError, ValueError) as error:
        return MasterFacts(url, "foreign", str(error))
    page, status, exceptions = _optional(web)
    loaded = status.get("workers") or {}
    workers = tuple(
        ListedWorker(
            str(worker.get("id", "")),
            str(worker.get("state", "")),
            int(worker.get("user_count") or 0),
            int((loaded.get(worker.get("id")) or {}).get("processes") or 1),
        )
        for worker in stats.get("workers") or []
    )
    total: Mapping[str, Any] = next((row for row in stats.get("stats") or [] if row.get("name") == "Aggregated"), {})
    return MasterFacts(
        url,
        "ok",
        state=str(stats.get("state", "")),
        users=int(stats.get("user_count") or 0),
        host=str(page.get("host") or ""),
        version=str(page.get("version") or ""),
        workers=workers,
        requests=int(total.get("num_requests") or 0),
        failures=int(total.get("num_failures") or 0),
        errors=tuple(_error_row(row) for row in (stats.get("errors") or [])[:_MOST_ROWS]),
        exceptions=tuple(
            ErrorRow("", str(row.get("msg", "")), int(row.get("count") or 0)) for row in exceptions[:_MOST_ROWS]
        ),
        class_hosts=tuple(
            Pair(str(user_class.get("name", "")), str(user_class.get("host") or ""))
            for user_class in status.get("user_classes") or []
        ),
        digests=tuple(Pair(str(name), str(files.get("sha256", ""))) for name, files in loaded.items()),
        master_digest=str((status.get("locustfile") or {}).get("sha256", "")),
        has_plugin=bool(status),
        argument_variables=tuple(str(row["variable"]) for row in status.get("arguments") or [] if row.get("variable")),
        registered=_registered(web),
    )


def _registered(web: LocustApi) -> int | None:
    """Ask how many workers are registered now; None if the master has no such page."""
    try:
        return web.worker_count()
    except (MasterError, ValueError, KeyError):
        return None


def _guarded(web: LocustApi, url: str, error: MasterGuardedError) -> MasterFacts:
    """Find out what protects a page: a login, a login without code, or a program that is not Locust."""
    try:
        answer = web.request("GET", "/")
    except MasterGuardedError as second:
        return MasterFacts(url, "login", second.reason)
    except MasterError as second:
        return MasterFacts(url, "down", second.what)
    text = answer.body.decode(errors="replace")
    if _AUTH_TEXT in text:
        start = text.index(_AUTH_TEXT)
        return MasterFacts(url, "broken-login", text[start : start + 200])
    return MasterFacts(url, "foreign", error.what)


def _optional(web: LocustApi) -> tuple[Mapping[str, Any], Mapping[str, Any], list[Mapping[str, Any]]]:
    """Ask for data that not every master has: its page's settings, the plugin's status, the exceptions."""
    page: Mapping[str, Any] = {}
    status: Mapping[str, Any] = {}
    exceptions: list[Mapping[str, Any]] = []
    with suppress(MasterError, ValueError):
        page = web.page_settings()
        status = web.status() or {}
        exceptions = list(web.json("/exceptions").get("exceptions") or [])
    return page, status, exceptions


def _error_row(row: Mapping[str, Any]) -> ErrorRow:
    seen = row.get("last_seen")
    at = datetime.fromtimestamp(seen, tz=UTC) if isinstance(seen, int | float) and seen > 0 else docker_time(seen)
    return ErrorRow(
        str(row.get("name", "")),
        str(row.get("error", "")),
        int(row.get("occurrences") or 0),
        at,
        str(row.get("method", "")),
    )


def monitor(port: int, password: str, now: datetime) -> MonitorFacts:
    """Ask the monitor for its Snapshot, its own problems, and the incidents of the last day."""
    url = f"http://127.0.0.1:{port}/"
    reader = SidecarReader(port, _CALL_SECONDS, password=password)
    try:
        snapshot = reader.snapshot()
        incidents = reader.incident_list(since=format_time(now - _HISTORY), limit=500, evidence=0).incidents
        problems = _problems(reader)
    except NotReadyError as error:
        return MonitorFacts(url, "starting", str(error))
    except MonitorError as error:
        reason = str(error)
        is_foreign = reason.startswith(("something else", "its answer is no"))
        answer = "slow" if reason == "no answer in time" else "foreign" if is_foreign else "down"
        return MonitorFacts(url, answer, reason)
    finally:
        reader.close()
    return MonitorFacts(
        url,
        "ok",
        project=snapshot.project,
        stale=snapshot.stale,
        age_seconds=max(0.0, (now - (snapshot.engine_read_at or snapshot.at)).total_seconds()),
        warnings=tuple(warning.text for warning in snapshot.warnings),
        locust_error=snapshot.locust_error or "",
        incidents=tuple(_incident(incident) for incident in incidents),
        problems=problems,
    )


def _problems(reader: SidecarReader) -> tuple[str, ...]:
    """Ask the monitor for problems of its own parts."""
    try:
        return tuple(str(problem) for problem in json.loads(reader.health()).get("troubles") or [])
    except (MonitorError, ValueError):
        return ()


def _incident(incident: Incident) -> KnownIncident:
    known = {name: value for name, value in msgspec.to_builtins(incident).items() if value is not None}
    return msgspec.convert(known, KnownIncident)
