"""What a rule is made of: it looks at the Stack, says what it saw, and names the causes that it found. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class FoundCause:
    """One cause that a rule found; the catalogue has the words.

    Attributes:
        slug: the cause.
        evidence: what was seen, the most telling first.
        affects: the containers, files or addresses that it is about.
        values: what fills the catalogue's templates.
        fix: which of the catalogue's fixes fits this case.
        items: the fix's commands are filled in once for each of these, beside `values`.
        up: settings that `make up` must be given differently.
        because: a sentence about this very case, put before the catalogue's explanation.

    """

    slug: str
    evidence: tuple[FindingEvidence, ...]
    affects: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    fix: str = "default"
    items: tuple[Mapping[str, str], ...] = ()
    up: Mapping[str, str] = field(default_factory=dict)
    because: str = ""
    severity: Severity = Severity.ERROR
    confidence: Confidence = Confidence.CERTAIN

    @classmethod
    def of(
        cls,
        slug: str,
        evidence: Iterable[FindingEvidence | None],
        affects: Iterable[ContainerFacts | str],
        values: Mapping[str, str],
        origin: Origin | str = "default",
        *,
        up: Mapping[str, str] | None = None,
        severity: Severity = Severity.ERROR,
        confidence: Confidence = Confidence.CERTAIN,
    ) -> FoundCause:
        """Build a FoundCause from what the rules have at hand.

        Args:
            slug: the cause.
            evidence: pieces of evidence; a None among them is left out.
            affects: containers, or names.
            values: what fills the catalogue's templates.
            origin: where the wrong value is written, which decides the fix; or the fix's name.
            up: settings that `make up` must be given differently.
            severity: how bad it is.
            confidence: how sure it is.

        """
        place = origin if isinstance(origin, Origin) else Origin(origin)
        names = (about if isinstance(about, str) else about.name for about in affects)
        seen = tuple(piece for piece in evidence if piece is not None)
        return cls(
            slug,
            seen,
            tuple(names),
            values,
            place.fix,
            place.items,
            up or {},
            severity=severity,
            confidence=confidence,
        )


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
