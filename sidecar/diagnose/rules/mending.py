"""Where a wrong setting comes from, and so how it is mended. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.diagnose.evidence import ContainerFacts
from sidecar.diagnose.stack import Stack, environment, setting

RECREATE, ENV_LINE, COMPOSE_FILE, BY_HAND = "recreate", "env-line", "compose-file", "by-hand"


@dataclass(frozen=True)
class Origin:
    """Where the value is written: the name of the fix that fits, what fills it in, and words for the evidence."""

    fix: str
    items: tuple[Mapping[str, str], ...] = ()
    text: str = ""


def origin(stack: Stack, containers: Sequence[ContainerFacts], variable: str) -> Origin:
    """Where a variable of some containers comes from; `variable` may be the name of one that is missing."""
    value = environment(containers[0]).get(variable)
    lines = [
        env_line
        for env_line in stack.evidence.config.env_lines
        if env_line.name == variable and env_line.value == value
    ]
    if lines:
        items = tuple({"file": shlex.quote(line.file), "line": str(line.line)} for line in lines)
        return Origin(ENV_LINE, items, f"{lines[0].file} line {lines[0].line}")
    if any(stack.is_drifted(container, variable) for container in containers):
        return Origin(RECREATE, text="not from this checkout's files: the container was made with others")
    if stack.evidence.config.compose_modified:
        return Origin(COMPOSE_FILE, text="docker-compose.yml, which was changed here")
    return Origin(BY_HAND, text="the configuration that made the container")


def origin_of_setting(stack: Stack, containers: Sequence[ContainerFacts], variable: str, *flags: str) -> Origin:
    """The same for a setting that may stand on the command line as well."""
    source = setting(containers[0], variable, *flags).source
    if not source.startswith("-"):
        return origin(stack, containers, variable)
    wanted = stack.wanted(containers[0])
    if wanted is not None and source not in wanted.command:
        return Origin(RECREATE, text=f"the command line ({source}), not from this checkout's files")
    modified = stack.evidence.config.compose_modified
    return Origin(COMPOSE_FILE if modified else BY_HAND, text=f"the command line ({source})")
