"""`swarm-diagnose`: why a stack on a Swarm does not work, with evidence, and the commands that mend it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping

from sidecar.cli.diagnose import exit_code
from sidecar.diagnose.render import text
from sidecar.model import document
from sidecar.stack import workspace
from sidecar.swarm.diagnose.gather import gather
from sidecar.swarm.diagnose.judge import diagnose

NAME = "swarm-diagnose"
HELP = "why the stack on the Swarm does not work: nodes, images, placement, network (--json)"
_CHECKS = "--checks"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Diagnose; 0 no error, 1 an error found, 3 nothing could be learnt."""
    rest = [word for word in args if word != _CHECKS]
    workspace.refuse_arguments(rest, NAME)
    as_json = "--json" in rest
    settings = workspace.settings_after_up([word for word in rest if word != "--json"], environ)
    diagnosis = diagnose(gather(settings, environ))
    if as_json:
        sys.stdout.write(document.dumps(diagnosis).decode() + "\n")
        return exit_code(diagnosis)
    colour = sys.stdout.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    style = text.Style(shutil.get_terminal_size((80, 24)).columns, colour, checks=_CHECKS in args)
    sys.stdout.write(text.render(diagnosis, style))
    return exit_code(diagnosis)
