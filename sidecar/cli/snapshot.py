"""`snapshot`: everything the sidecar knows at this moment, as a JSON document for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from sidecar.client.reader import first_snapshot
from sidecar.settings import refuse_flags
from sidecar.stack import deployment, workspace

NAME = "snapshot"
HELP = "what the view shows, as one JSON document"
_PATIENCE_SECONDS = 15.0  # a command that is run once can wait for a machine that is busy


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Print the Snapshot: indented on a terminal, one line into a pipe.

    Raises:
        SettingError: a setting with a value that cannot be.
        StackError: the stack is down.
    """
    refuse_flags(args, NAME, ("--json",))
    workspace.refuse_arguments(args, NAME)
    settings = workspace.settings_after_up(args, environ)
    reader = deployment.reader(settings, _PATIENCE_SECONDS)
    first_snapshot(reader, settings.project)  # for its errors: no stack, or another one
    written = reader.document().decode()  # as it came, with fields that this command may be too old to know
    print(json.dumps(json.loads(written), indent=2, ensure_ascii=False) if sys.stdout.isatty() else written)
    return 0
