"""`logs`: what the containers print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sidecar.common.errors import SettingError
from sidecar.settings import refuse_flags
from sidecar.stack import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "logs"
HELP = "what the containers print: logs SERVICE=locust-worker TAIL=50 FOLLOW=1"
_SERVICES = ("locust-master", "locust-worker", "monitor", "docker-proxy", "gate", "mock-target")
_SHORT = {"master": "locust-master", "worker": "locust-worker", "workers": "locust-worker", "mock": "mock-target"}
_TAIL = 100


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Print the logs, to the end of time with FOLLOW=1."""
    refuse_flags(args, NAME)
    workspace.refuse_arguments(args, NAME)
    settings = workspace.settings_after_up(args, environ)
    service = _SHORT.get(settings.service, settings.service)
    if service and service not in _SERVICES:
        raise SettingError(f"SERVICE is {settings.service!r}", wanted=f"one of {', '.join(_SERVICES)}")
    tail = settings.tail if settings.said_now("TAIL") else _TAIL
    compose = workspace.compose_for(settings, workspace.decided(settings), environ)
    flags = ["--tail", str(tail), *(["--follow"] if settings.follow else [])]  # Locust's lines bring their own time
    command = ["--profile", "mock", "logs", *flags, *([service] if service else [])]
    if sys.stdout.isatty():
        return compose.attach(*command)
    return compose.print_plain("--ansi", "never", *command, out=sys.stdout)  # Compose erases lines even so
