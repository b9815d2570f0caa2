"""The tab "Incidents" in Locust's own web UI. It shows the incidents that the monitor (the sidecar) recorded.

A greenlet asks the monitor each second, but only while somebody has the UI open. The UI polls `/stats/requests`, and
the answer carries the rows. No request of the UI ever waits for the monitor.
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

from locust_kit import guarded_page, web_guard, web_tab
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
"""The names in the sidecar's model/incident_kinds.py. A kind that this plugin does not know is shown by its slug."""
_URL_VARIABLE = "LOCUST_KIT_MONITOR_URL"
_DEFAULT_URL = "http://monitor:8090"
_PATH = "/api/incidents?limit=50&evidence=0"
_PERIOD_SECONDS = 1.0
_TIMEOUT_SECONDS = 1.0
_INTEREST_SECONDS = 10.0  # the UI polls each 2 s while a test runs
_MOST_BYTES = 1024 * 1024
_MOST_CHARACTERS = 500


class IncidentsTabError(Exception):
    """The monitor returned no incidents; the text is the reason."""


def install(app: Flask, arguments: dict[str, Any], base_path: str) -> None:
    """Add the tab and start the greenlet; the arguments are those of `web_tab.install`."""
    tab = IncidentsTab(os.environ.get(_URL_VARIABLE) or _DEFAULT_URL)
    web_tab.install(app, arguments, base_path, web_tab.Tab(KEY, "Incidents", COLUMNS, tab.rows, tab.seen))
    gevent.spawn(tab.keep_asking)


class IncidentsTab:
    """The rows of the tab, updated while somebody has the UI open."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._rows: list[Row] = [_remark("connecting to the monitor …")]
        self._error = ""
        self._looked_at = 0.0
        self._looking = Event()

    def seen(self) -> None:
        """Note that somebody has the UI open."""
        self._looked_at = time.monotonic()
        self._looking.set()

    def rows(self) -> list[Row]:
        """Return the known rows, newest first; a remark on top if they are outdated."""
        return [_remark(self._error), *self._rows] if self._error else self._rows

    def keep_asking(self) -> None:
        """Ask while the process runs; sleep while nobody has the UI open."""
        while True:
            if time.monotonic() - self._looked_at > _INTEREST_SECONDS:
                self._looking.clear()
                self._looking.wait()
            try:
                self.ask()
            except Exception:  # the top of the greenlet: the tab must come back
                logger.debug("the request for incidents failed", exc_info=True)
            gevent.sleep(_PERIOD_SECONDS)

    def ask(self) -> None:
        """Update the rows once; on failure, keep the reason."""
        try:
            self._rows, self._error = rows_of(fetch(self._url)), ""
        except IncidentsTabError as error:
            known = [row for row in self._rows if row["kind"] != _REMARK]
            self._rows = known
            self._error = f"{error}{'; the rows below may be outdated' if known else ''}"


def fetch(url: str) -> Any:
    """GET the monitor's incidents within the time-out.

    Raises:
        IncidentsTabError: the monitor does not answer, or its answer is not JSON.
    """
    there = urlsplit(url)
    kind = http.client.HTTPSConnection if there.scheme == "https" else http.client.HTTPConnection
    connection = kind(there.hostname or "", there.port, timeout=_TIMEOUT_SECONDS)
    try:
        with gevent.Timeout(_TIMEOUT_SECONDS, TimeoutError):
            connection.request(
                "GET", there.path.rstrip("/") + _PATH, headers=web_guard.authorization(guarded_page.password())
            )
            answer = connection.getresponse()
            body = answer.read(_MOST_BYTES + 1)
    except TimeoutError:
        raise IncidentsTabError(f"the monitor at {url} does not answer within {_TIMEOUT_SECONDS:g} s") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise IncidentsTabError(f"cannot connect to the monitor at {url}: {reason}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK or len(body) > _MOST_BYTES:
        raise IncidentsTabError(f"the monitor at {url} answered with status {answer.status}, {len(body)} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise IncidentsTabError(f"the monitor at {url} did not answer with JSON") from error


def rows_of(document: Any) -> list[Row]:
    """Make table rows from the monitor's document, newest first. Leave out entries of an unexpected form."""
    incidents = document.get("incidents") if isinstance(document, dict) else None
    listed = incidents if isinstance(incidents, list) else []
    rows = [_row(incident) for incident in listed if isinstance(incident, dict)]
    return rows or [_remark("no incidents so far")]


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
    """Return a row with a remark about the table itself."""
    return {"time": "", "kind": _REMARK, "container": "", "count": "", "text": text}
