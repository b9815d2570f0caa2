"""The plugin's tabs in Locust's web UI. The UI polls `/stats/requests`, and the answer carries their rows."""

from __future__ import annotations

import http.client
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request

from locust_kit import strict_json

logger = logging.getLogger("locust_kit")

OWN_AGENT = "locust-kit"
"""The user agent of the sidecar when it reads the master: it does not need the rows."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab with one table. `seen` is called when somebody has the UI open."""

    key: str
    title: str
    columns: Mapping[str, str]
    rows: Callable[[], list[Row]]
    seen: Callable[[], None] = lambda: None


def install(app: Flask, arguments: dict[str, Any], base_path: str, tab: Tab) -> None:
    """Add a tab. The tabs of other plugins and of the user's own file stay.

    Args:
        app: the web UI's Flask application.
        arguments: the web UI's `template_args` for its page.
        base_path: LOCUST_WEB_BASE_PATH or "".
        tab: what to add.
    """
    arguments["extended_tabs"] = [*(arguments.get("extended_tabs") or []), {"title": tab.title, "key": tab.key}]
    table = {"key": tab.key, "structure": [{"key": key, "title": title} for key, title in tab.columns.items()]}
    arguments["extended_tables"] = [*(arguments.get("extended_tables") or []), table]
    base = base_path.rstrip("/")
    index, stats_path = (base, f"{base}/"), f"{base}/stats/requests"

    def after_request(response: Response) -> Response:
        # A health check is a HEAD of the index: nobody has the UI open.
        if request.method != "GET" or request.user_agent.string.startswith(OWN_AGENT):
            return response
        if request.path == stats_path or request.path in index:
            tab.seen()
        if request.path == stats_path and response.status_code == http.client.OK and response.is_json:
            try:
                response.set_data(with_rows(response.get_data(), tab.key, tab.rows()))
            except Exception:  # another plugin's answer, or rows of ours: the page goes on without them
                logger.debug("%s found no place in /stats/requests", tab.title, exc_info=True)
        return response

    app.after_request(after_request)


def with_rows(body: bytes, key: str, rows: list[Row]) -> bytes:
    """Put a table's rows into an answer of `/stats/requests`, and keep the rows of other plugins.

    Locust caches that answer for two seconds, so rows from before are replaced.
    """
    stats = json.loads(body)
    others = [entry for entry in stats.get("extended_stats") or [] if entry.get("key") != key]
    stats["extended_stats"] = [*others, {"key": key, "data": rows}]
    return strict_json.dumps(stats).encode()
