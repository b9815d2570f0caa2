"""A tab "Incidents" in Locust's own web UI: what the sidecar recorded, where people keep their eyes.

A greenlet asks the sidecar each second, and only while somebody looks at the UI. The UI's own polling of
`/stats/requests` carries the rows; no request of the UI ever waits for the sidecar.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import time
from typing import Any
from urllib.parse import urlsplit

import gevent
from flask import Flask
from gevent.event import Event

from locust_kit import web_tab
from locust_kit.web_tab import Row

logger = logging.getLogger("locust_kit")

KEY = "incidents"
COLUMNS = {"time": "Time (UTC)", "kind": "Kind", "container": "Container", "count": "Count", "text": "What happened"}
KIND_NAMES = {
    "oom_kill": "OOM kill",
    "restart": "restart",
    "exit": "exit",
    "unhealthy": "unhealthy",
    "worker_lost": "worker lost",
    "worker_left": "worker left",
    "master_restart": "master restart",
    "throttled": "throttled",
    "memory_high": "memory high",
    "forecast": "OOM forecast",
    "failure_ratio": "failures",
    "restart_loop": "restart loop",
    "unattributed_oom_kill": "unattributed OOM kill",
    "blind": "blind",
}
"""The sidecar's own words (its model/incident_kinds.py); a kind that is newer than this plugin shows as it is."""
_URL_VARIABLE = "LOCUST_KIT_MONITOR_URL"
_DEFAULT_URL = "http://monitor:8090"
_PATH = "/api/incidents?limit=50&evidence=0"
_PERIOD_SECONDS = 1.0
_TIMEOUT_SECONDS = 1.0
_INTEREST_SECONDS = 10.0  # the UI polls each 2 s while a test runs
_MOST_BYTES = 1024 * 1024
_MOST_CHARACTERS = 500


class IncidentsTabError(Exception):
    """The sidecar gave no incidents; the text says why."""


def install(app: Flask, arguments: dict[str, Any], base_path: str) -> None:
    """Add the tab and start the greenlet; the arguments are those of `web_tab.install`."""
    tab = IncidentsTab(os.environ.get(_URL_VARIABLE) or _DEFAULT_URL)
    web_tab.install(app, arguments, base_path, web_tab.Tab(KEY, "Incidents", COLUMNS, tab.rows, tab.seen))
    gevent.spawn(tab.keep_asking)


class IncidentsTab:
    """The rows of the tab, renewed while somebody looks at them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._rows: list[Row] = [_remark("asking the sidecar …")]
        self._error = ""
        self._looked_at = 0.0
        self._looking = Event()

    def seen(self) -> None:
        """Note that somebody looks at the UI."""
        self._looked_at = time.monotonic()
        self._looking.set()

    def rows(self) -> list[Row]:
        """Return the rows known now, newest first; a remark on top when they are out of date."""
        return [_remark(self._error), *self._rows] if self._error else self._rows

    def keep_asking(self) -> None:
        """Ask while the process lives; sleep while nobody looks."""
        while True:
            if time.monotonic() - self._looked_at > _INTEREST_SECONDS:
                self._looking.clear()
                self._looking.wait()
            try:
                self.ask()
            except Exception:  # the top of the greenlet: the tab must come back
                logger.debug("asking for incidents failed", exc_info=True)
            gevent.sleep(_PERIOD_SECONDS)

    def ask(self) -> None:
        """Renew the rows once; on failure, note why."""
        try:
            self._rows, self._error = rows_of(fetch(self._url)), ""
        except IncidentsTabError as error:
            known = [row for row in self._rows if row["kind"] != _REMARK]
            self._rows = known
            self._error = f"{error}{'; what follows is as it was before' if known else ''}"


def fetch(url: str) -> Any:
    """GET the sidecar's incidents within the time-out.

    Raises:
        IncidentsTabError: there is no sidecar, or its answer is no JSON.
    """
    there = urlsplit(url)
    kind = http.client.HTTPSConnection if there.scheme == "https" else http.client.HTTPConnection
    connection = kind(there.hostname or "", there.port, timeout=_TIMEOUT_SECONDS)
    try:
        with gevent.Timeout(_TIMEOUT_SECONDS, TimeoutError):
            connection.request("GET", there.path.rstrip("/") + _PATH)
            answer = connection.getresponse()
            body = answer.read(_MOST_BYTES + 1)
    except TimeoutError:
        raise IncidentsTabError(f"the sidecar at {url} does not answer within {_TIMEOUT_SECONDS:g} s") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise IncidentsTabError(f"no sidecar at {url}: {reason}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK or len(body) > _MOST_BYTES:
        raise IncidentsTabError(f"the sidecar at {url} answers with status {answer.status}, {len(body)} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise IncidentsTabError(f"the sidecar at {url} answers with what is no JSON") from error


def rows_of(document: Any) -> list[Row]:
    """Make table rows of the sidecar's document, newest first. Entries of another form are left out."""
    incidents = document.get("incidents") if isinstance(document, dict) else None
    listed = incidents if isinstance(incidents, list) else []
    rows = [_row(incident) for incident in listed if isinstance(incident, dict)]
    return rows or [_remark("nothing has died, restarted or been lost so far")]


def _row(incident: dict[str, Any]) -> Row:
    at, kind = str(incident.get("at") or ""), str(incident.get("kind") or "?")
    return {
        "time": at[:19].replace("T", " "),
        "kind": KIND_NAMES.get(kind, kind.replace("_", " ")),
        "container": str(incident.get("container") or incident.get("service") or "")[:_MOST_CHARACTERS],
        "count": incident.get("count") if isinstance(incident.get("count"), int) else "",
        "text": str(incident.get("text") or "")[:_MOST_CHARACTERS],
    }


_REMARK = ""


def _remark(text: str) -> Row:
    """Return a row that says something about the table itself."""
    return {"time": "", "kind": _REMARK, "container": "", "count": "", "text": text}
