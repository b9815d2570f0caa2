"""`selftest`: does the sidecar see what dies? Containers of our own are OOM-killed to find out."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sidecar.client.reader import SidecarReader, first_snapshot
from sidecar.commands.selftest.selftest import selftest
from sidecar.common.say import Console
from sidecar.common.signals import interrupt_on_signals
from sidecar.engine.host_client import connect
from sidecar.settings import refuse_flags
from sidecar.stack import workspace
from sidecar.stack.registered import Clock

NAME = "selftest"
HELP = "kill small containers of its own and see whether the sidecar saw every kill (exit 0 all seen, 1 one missed)"


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Run the self-test; 0 when every kill was seen, 1 when one was missed, 2 or 3 when it could not be made."""
    refuse_flags(args, NAME)
    workspace.refuse_arguments(args, NAME)
    settings = workspace.settings_after_up(args, environ)
    engine = connect(environ)
    workspace.running_stack(engine, settings)
    interrupt_on_signals()  # the victims must be removed by whatever ends this
    reader = SidecarReader(settings.monitor_port)
    first_snapshot(reader, settings.project)
    return selftest(engine, reader, Console(), Clock(time.monotonic, time.sleep))
