"""`report`: the runs so far, or the report of one of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sidecar.commands import report as drive_report
from sidecar.common.say import Console
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "report"
HELP = "the runs on the disk; RUN=<id> or RUN=last makes its report anew, BASELINE=<id> compares (--json prints it)"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """List, or report; 0 whatever the verdict is."""
    workspace.refuse_arguments(args, NAME)
    settings = workspace.settings_after_up(args, environ)
    if "--json" in args:
        print(json.dumps(drive_report.document(settings, environ), ensure_ascii=False))
        return 0
    return drive_report.report(settings, environ, Console())
