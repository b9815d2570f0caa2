"""`reports`: the runs that left a report, newest last."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sidecar.commands import reports
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "reports"
HELP = "the runs that left a report, newest last"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Print one line a run; with --json the documents themselves."""
    workspace.refuse_arguments(args, NAME)
    settings = workspace.settings_after_up(args, environ)
    found = reports.all_runs(settings.reports_dir)
    if "--json" in args:
        print(json.dumps({"schema_version": 1, "runs": [document for _, document in found]}))
        return 0
    if not found:
        print(f"no report in {settings.reports_dir} yet → make run")
        return 0
    for line in reports.table([reports.ReportRow.of(one) for one in found]):
        print(line)
    return 0
