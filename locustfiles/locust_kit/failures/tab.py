"""The live tab "Failure analysis" in Locust's own web UI, and downloads of groups and rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response
from locust.web import WebUI

from locust_kit import strict_json, web_tab
from locust_kit.failures import files
from locust_kit.failures.account import FailureAccount
from locust_kit.failures.classes import ADVICE, FailureClass
from locust_kit.failures.collection import Collection
from locust_kit.failures.records import rfc3339
from locust_kit.failures.watch import WINDOW_SECONDS, Watch
from locust_kit.visible_text import csv_cell
from locust_kit.web_tab import Row
from locust_kit.writer import Writer

KEY = "failure_analysis"
ENDPOINT = "endpoint"  # not "name": Locust's page would sort the rows by it
COLUMNS = {
    "count": "# failures",
    "share": "Share",
    "class": "Class",
    "detail": "Detail",
    "method": "Type",
    ENDPOINT: "Name",
    "message": "Message",
    "first_seen": "First seen (UTC)",
    "last_seen": "Last seen (UTC)",
    "workers": "Workers",
    "advice": "What it usually means",
}
_MOST_ROWS = 500
_PIECE_BYTES = 1 << 16


def install(app: Flask, web_ui: WebUI, base_path: str, account: FailureAccount) -> None:
    """Add the tab and the downloads; `app` is the web UI's Flask application."""

    def groups_as_table() -> Response:
        return _file("failure_groups.csv", table(account.collection), "text/csv; charset=utf-8")

    def groups_as_json() -> Response:
        return _file(files.GROUPS, strict_json.dumps(account.document()), "application/json")

    def times_as_json() -> Response:
        return _file(files.PERFORMANCE, strict_json.dumps(account.times()), "application/json")

    def rows_as_table() -> Response:
        return _from_disk(account.writer, files.TABLE, "text/csv; charset=utf-8")

    def rows_as_lines() -> Response:
        return _from_disk(account.writer, files.ROWS, "application/x-ndjson")

    base = f"{base_path.rstrip('/')}/locust-kit"
    for name, view in (
        ("failure_groups.csv", groups_as_table),
        (files.GROUPS, groups_as_json),
        (files.PERFORMANCE, times_as_json),
        (files.TABLE, rows_as_table),
        (files.ROWS, rows_as_lines),
    ):
        app.add_url_rule(f"{base}/{name}", f"locust_kit_{name}", web_ui.auth_required_if_enabled(view))
    arguments: dict[str, Any] = web_ui.template_args
    link = {"href": f"{base}/{files.TABLE}", "title": "Download failure analysis CSV"}
    arguments["extended_csv_files"] = [*(arguments.get("extended_csv_files") or []), link]
    tab = web_tab.Tab(KEY, "Failure analysis", COLUMNS, lambda: [*_remark(account.watch), *rows(account.collection)])
    web_tab.install(app, arguments, base_path, tab)


def _file(name: str, text: str, content_type: str) -> Response:
    headers = {"content-disposition": f"attachment; filename={name}", "cache-control": "no-store"}
    return Response(text, content_type=content_type, headers=headers)


def _from_disk(writer: Writer | None, name: str, content_type: str) -> Response:
    """Return a file of the run as it is now, in pieces; an empty file if there is no file yet."""
    headers = {"content-disposition": f"attachment; filename={name}", "cache-control": "no-store"}
    pieces = _pieces(writer.folder / name) if writer and (writer.folder / name).exists() else ()
    return Response(pieces, content_type=content_type, headers=headers)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _remark(watch: Watch) -> list[Row]:
    """Return a row for the top of the table while too many requests fail, else no row."""
    if not watch.is_high or watch.ratio is None:
        return []
    text = f"{100 * watch.ratio:.1f} % of the requests in the last {WINDOW_SECONDS:.0f} s failed"
    return [{**dict.fromkeys(COLUMNS, ""), "class": "now", "message": text}]


def rows(collection: Collection) -> list[Row]:
    """Return the groups as rows, the largest first."""
    table_rows = []
    for key, group in collection.ranked()[:_MOST_ROWS]:
        total = collection.task_errors if key.kind is FailureClass.TASK_ERROR else collection.failures
        table_rows.append(
            {
                "count": group.count,
                "share": f"{100 * group.count / total:.1f}%",
                "class": str(key.kind),
                "detail": key.detail,
                "method": key.method,
                ENDPOINT: key.name,
                "message": key.message,
                "first_seen": rfc3339(group.first)[11:19],
                "last_seen": rfc3339(group.last)[11:19],
                "workers": len(group.workers),
                "advice": ADVICE[key.kind],
            }
        )
    return table_rows


def table(collection: Collection) -> str:
    """Return the rows as CSV with the documents' field names; no cell is a formula for a spreadsheet."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow("name" if column == ENDPOINT else column for column in COLUMNS)
    writer.writerows([csv_cell(str(value)) for value in row.values()] for row in rows(collection))
    return file.getvalue()
