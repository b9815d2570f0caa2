"""Reports from the disk alone, if no monitor runs: `python3 -m sidecar.report.runs [RUN_ID [ASK]]` prints JSON.

ASK is a JSON object with the fields of reports.Ask. It runs in a short-lived container with the volumes `runs` and
`ledger`. PROJECT and INTERVAL are in its environment.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sidecar.common import strict_json
from sidecar.common.errors import KitError
from sidecar.common.version import KIT_VERSION
from sidecar.ledger.history_reader import HistoryReader
from sidecar.ledger.ledger_reader import LedgerArchive
from sidecar.report.runs.reports import Ask, Reports

RUNS, LEDGER = Path("/var/lib/locust-kit/runs"), Path("/var/lib/locust-kit/ledger")


def main(words: list[str]) -> int:
    """Print the report of a run, or the list of all."""
    archive = LedgerArchive(LEDGER, HistoryReader(LEDGER))
    project, look_seconds = os.environ.get("PROJECT", "locust"), float(os.environ.get("INTERVAL", "2"))
    reports = Reports(RUNS, archive, project, lambda: datetime.now(UTC), KIT_VERSION, look_seconds)
    try:
        if words:
            ask = Ask(**json.loads(words[1])) if words[1:] else Ask()
            answer: object = reports.of(words[0], replace(ask, anew=True))
        else:
            answer = reports.listing(reports.ids())
    except KitError as error:
        print(strict_json.dumps({"error": error.line()}))
        return error.exit_code
    print(strict_json.dumps(answer, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
