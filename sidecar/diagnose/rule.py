"""The parts of a rule. A rule reads the Stack, and returns its observation and the causes it found. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sidecar.diagnose.evidence import ContainerFacts
from sidecar.diagnose.stack import Stack, environment, setting
from sidecar.model.finding import Confidence, FindingEvidence
from sidecar.model.incident import Severity

T = TypeVar("T")
RECREATE, ENV_LINE, COMPOSE_FILE, BY_HAND = "recreate", "env-line", "compose-file", "by-hand"


@dataclass(frozen=True, slots=True)
class Origin:
    """The place of a wrong value: the name of the matching fix, its template values, and a text for the evidence."""

    fix: str = "default"
    items: tuple[Mapping[str, str], ...] = ()
    text: str = ""

    @property
    def evidence(self) -> FindingEvidence:
        """Return the place as a piece of evidence."""
        return FindingEvidence("source of this value", self.text)


class FoundCause:
    """One cause that a rule found. The catalogue has its texts.

    Args:
        slug: the cause.
        evidence: the observations, the most important first. None is skipped.
        affects: the containers, files or addresses concerned.
        values: the values for the catalogue's templates.
        origin: the place of the wrong value, which selects the fix; or the name of the fix.
        up: settings that the printed `make up` changes.
        because: a sentence about this case, put before the catalogue's cause.
        severity: error, warning or info.
        confidence: certain or likely.
    """

    def __init__(  # noqa: PLR0913  a rule has all of it at hand, and most rules give four
        self,
        slug: str,
        evidence: Iterable[FindingEvidence | None],
        affects: Iterable[ContainerFacts | str] = (),
        values: Mapping[str, str] | None = None,
        origin: Origin | str = "default",
        *,
        up: Mapping[str, str] | None = None,
        because: str = "",
        severity: Severity = Severity.ERROR,
        confidence: Confidence = Confidence.CERTAIN,
    ) -> None:
        self.slug, self.because, self.severity, self.confidence = slug, because, severity, confidence
        self.evidence = tuple(piece for piece in evidence if piece is not None)
        self.affects = tuple(about if isinstance(about, str) else about.name for about in affects)
        self.values, self.up = values or {}, up or {}
        self.origin = origin if isinstance(origin, Origin) else Origin(origin)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one check: the observation in one line, and the causes found.

    `unknown` is the reason why the check could not be made. `info` marks a note although nothing is wrong.
    """

    text: str
    causes: tuple[FoundCause, ...] = ()
    unknown: str = ""
    info: bool = False


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One check of a T: the Stack, or the evidence of a Swarm.

    Attributes:
        name: the name of the check on the command line.
        layer: its place in the chain from machine to target.
        judge: the function that reads the evidence.
        after: returns the reason to skip the check; "" to run it.

    """

    name: str
    layer: str
    judge: Callable[[T], Outcome]
    after: Callable[[T], str] = lambda _: ""


def cannot_tell(reason: str) -> Outcome:
    """Return the outcome of a check that could not be made."""
    return Outcome(reason, unknown=reason)


# ---- Reasons to have nothing to check --------------------------------------------------------------------------------


def without_engine(stack: Stack) -> str:
    """Return why Docker cannot be inspected; "" if it can."""
    return "" if stack.evidence.engine.status == "ok" else "Docker does not answer"


def without_stack(stack: Stack) -> str:
    """Return why there is no container of Locust; "" if there is one."""
    return without_engine(stack) or ("" if stack.locusts else "there is no stack")


def without_sidecar(stack: Stack) -> str:
    """Return why there is no monitor here. The monitor runs beside the master, perhaps on another machine."""
    return without_stack(stack) or (
        "master and monitor of these workers are on another machine" if stack.is_joined else ""
    )


def without_master(stack: Stack) -> str:
    """Return why no master can be inspected; "" if one is running."""
    return without_stack(stack) or ("" if stack.running_master else "no master is running")


def without_workers(stack: Stack) -> str:
    """Return why no worker can be inspected; "" if there is one."""
    return without_engine(stack) or ("" if stack.workers else "there is no worker")


def without_both(stack: Stack) -> str:
    """Return whether a running master or a worker is missing; "" if both are there."""
    return without_master(stack) or without_workers(stack)


# ---- Where a wrong value comes from ----------------------------------------------------------------------------------


def origin(stack: Stack, containers: Sequence[ContainerFacts], variable: str) -> Origin:
    """Return the source of a variable of some containers. The variable may be missing there."""
    value, config = environment(containers[0]).get(variable), stack.evidence.config
    lines = [line for line in config.env_lines if line.name == variable and line.value == value]
    if lines:
        items = tuple({"file": shlex.quote(line.file), "line": str(line.line)} for line in lines)
        return Origin(ENV_LINE, items, f"{lines[0].file} line {lines[0].line}")
    if any(stack.is_drifted(container, variable) for container in containers):
        return Origin(RECREATE, text="another configuration: the container was not created from this checkout's files")
    if config.compose_modified:
        return Origin(COMPOSE_FILE, text="docker-compose.yml, which differs from the committed file")
    return Origin(BY_HAND, text="the configuration that created the container")


def origin_of_setting(stack: Stack, containers: Sequence[ContainerFacts], variable: str, *flags: str) -> Origin:
    """Return the source of a setting that can also be on the command line."""
    source = setting(containers[0], variable, *flags).source
    if not source.startswith("-"):
        return origin(stack, containers, variable)
    wanted = stack.wanted(containers[0])
    if wanted is not None and source not in wanted.command:
        return Origin(RECREATE, text=f"the command line ({source}), not from this checkout's files")
    is_ours = stack.evidence.config.compose_modified
    return Origin(COMPOSE_FILE if is_ours else BY_HAND, text=f"the command line ({source})")
