"""The files of a run's failures in its folder, written outside the event loop.

- `failures.ndjson`: one line for each row, in the order of arrival;
- `failure_analysis.csv`: the same rows for a spreadsheet;
- `failure_groups.json`: the groups with count, share, first and last time, examples; rewritten as a whole;
- `performance.json`: how long requests took; rewritten as a whole.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from locust_kit import strict_json
from locust_kit.disk import private
from locust_kit.failures.records import Record, rfc3339
from locust_kit.visible_text import csv_cell

ROWS, TABLE, GROUPS = "failures.ndjson", "failure_analysis.csv", "failure_groups.json"
PERFORMANCE = "performance.json"
COLUMNS = (
    "timestamp",
    "request_type",
    "name",
    "response_time",
    "status_code",
    "exception",
    "response_length",
    "url",
    "class",
    "detail",
    "user_class",
    "worker",
    "represents",
)


def append(folder: Path, records: Sequence[Record]) -> None:
    """Append rows to both files. Raises OSError if the volume cannot be written."""
    with open(folder / ROWS, "a", encoding="utf-8", errors="replace", opener=private) as file:
        file.writelines(strict_json.dumps(record.document(), ensure_ascii=False) + "\n" for record in records)
    table = folder / TABLE
    is_new = not table.exists()
    with open(table, "a", encoding="utf-8", errors="replace", newline="", opener=private) as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerows(table_row(record) for record in records)


def table_row(record: Record) -> list[str]:
    """Return a record as a row of the table; no cell is a formula for a spreadsheet."""
    cells = (
        rfc3339(record.at),
        record.method,
        record.name,
        f"{record.response_ms:.1f}",
        str(record.status) if record.status else "N/A",
        f"{record.exception}: {record.message}",
        str(record.length),
        record.url,
        record.kind,
        record.detail,
        record.user_class,
        record.worker,
        f"{record.represents:g}",
    )
    return [csv_cell(cell) for cell in cells]
