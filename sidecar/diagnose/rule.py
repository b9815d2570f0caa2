"""What a rule is made of: it looks at the Stack, says what it saw, and names the causes that it found. Pure."""

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
    """Where a wrong value is written: the name of the fix that fits, what fills it in, and words for the evidence."""

    fix: str = "default"
    items: tuple[Mapping[str, str], ...] = ()
    text: str = ""

    @property
    def evidence(self) -> FindingEvidence:
        """Return the place as a piece of evidence."""
        return FindingEvidence("it comes from", self.text)


class FoundCause:
    """One cause that a rule found; the catalogue has the words.

    Args:
        slug: the cause.
        evidence: what was seen, the most telling first; a None among it is left out.
        affects: the containers, files or addresses that it is about.
        values: what fills the catalogue's templates.
        origin: where the wrong value is written, which decides the fix; or the name of the catalogue's fix.
        up: settings that `make up` must be given differently.
        because: a sentence about this very case, put before the catalogue's explanation.
        severity: how bad it is.
        confidence: how sure it is.
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
    """How one check ended: what was seen in one line, and the causes found.

    `unknown` is why it could not be made; `info` marks what is worth a word although nothing is wrong.
    """

    text: str
    causes: tuple[FoundCause, ...] = ()
    unknown: str = ""
    info: bool = False


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One check of a T: the Stack, or what is known of a Swarm.

    Attributes:
        name: of the check, as people ask for it.
        layer: where in the chain from machine to target it stands.
        judge: looks at the evidence.
        after: why there is nothing to check here, as a sentence; "" when there is.

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
    """Return why nothing of Docker can be looked at; "" when it can."""
    return "" if stack.evidence.engine.status == "ok" else "Docker does not answer"


def without_stack(stack: Stack) -> str:
    """Return why there is no container of Locust; "" when there is one."""
    return without_engine(stack) or ("" if stack.locusts else "there is no stack")


def without_sidecar(stack: Stack) -> str:
    """Return why there is no sidecar here: it is where the master is, and that may be another machine."""
    return without_stack(stack) or (
        "these workers' master is elsewhere, and its sidecar too" if stack.is_joined else ""
    )


def without_master(stack: Stack) -> str:
    """Return why no master can be looked at; "" when one runs."""
    return without_stack(stack) or ("" if stack.running_master else "no master runs")


def without_workers(stack: Stack) -> str:
    """Return why no worker can be looked at; "" when there is one."""
    return without_engine(stack) or ("" if stack.workers else "there is no worker")


def without_both(stack: Stack) -> str:
    """Return which of a running master and a worker is missing; "" when both are there."""
    return without_master(stack) or without_workers(stack)


# ---- Where a wrong value comes from ----------------------------------------------------------------------------------


def origin(stack: Stack, containers: Sequence[ContainerFacts], variable: str) -> Origin:
    """Find where a variable of some containers comes from; `variable` may be the name of one that is missing."""
    value, config = environment(containers[0]).get(variable), stack.evidence.config
    lines = [line for line in config.env_lines if line.name == variable and line.value == value]
    if lines:
        items = tuple({"file": shlex.quote(line.file), "line": str(line.line)} for line in lines)
        return Origin(ENV_LINE, items, f"{lines[0].file} line {lines[0].line}")
    if any(stack.is_drifted(container, variable) for container in containers):
        return Origin(RECREATE, text="not from this checkout's files: the container was made with others")
    if config.compose_modified:
        return Origin(COMPOSE_FILE, text="docker-compose.yml, which was changed here")
    return Origin(BY_HAND, text="the configuration that made the container")


def origin_of_setting(stack: Stack, containers: Sequence[ContainerFacts], variable: str, *flags: str) -> Origin:
    """Find where a setting comes from that may stand on the command line as well."""
    source = setting(containers[0], variable, *flags).source
    if not source.startswith("-"):
        return origin(stack, containers, variable)
    wanted = stack.wanted(containers[0])
    if wanted is not None and source not in wanted.command:
        return Origin(RECREATE, text=f"the command line ({source}), not from this checkout's files")
    is_ours = stack.evidence.config.compose_modified
    return Origin(COMPOSE_FILE if is_ours else BY_HAND, text=f"the command line ({source})")
