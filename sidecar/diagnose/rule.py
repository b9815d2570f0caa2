"""What a rule is made of: it looks at the Stack and says what it saw, and which causes it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sidecar.diagnose.stack import Stack
from sidecar.model.finding import Confidence, FindingEvidence
from sidecar.model.incident import Severity


@dataclass(frozen=True)
class Found:
    """One cause that a rule found; the catalogue has the words.

    Attributes:
        slug: the cause.
        evidence: what was seen, the most telling first.
        affects: the containers, files or addresses that it is about.
        values: what fills the catalogue's templates.
        fix: which of the catalogue's fixes mends this case.
        items: the fix's commands are filled in once for each of these, beside `values`.
        up: settings that `make up` must be told differently.
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


@dataclass(frozen=True)
class Outcome:
    """How one check ended: what was seen in one line, and the causes found.

    `unknown` is why it could not be made; `info` marks what is worth a word although nothing is wrong.
    """

    text: str
    found: tuple[Found, ...] = ()
    unknown: str = ""
    info: bool = False


@dataclass(frozen=True)
class Rule:
    """One check.

    Attributes:
        name: of the check, as people ask for it.
        layer: where in the chain from machine to target it stands.
        judge: looks at the evidence.
        needs: parts of the evidence without which it cannot be made.
        after: why there is nothing to check here, as a sentence; "" when there is.

    """

    name: str
    layer: str
    judge: Callable[[Stack], Outcome]
    needs: tuple[str, ...] = ()
    after: Callable[[Stack], str] = lambda _: ""


def cannot_tell(reason: str) -> Outcome:
    """The outcome of a check that could not be made."""
    return Outcome(reason, unknown=reason)


# ---- Reasons to have nothing to check --------------------------------------------------------------------------------


def without_engine(stack: Stack) -> str:
    """Nothing of Docker can be looked at."""
    return "" if stack.evidence.engine.status == "ok" else "Docker does not answer"


def without_stack(stack: Stack) -> str:
    """No container of Locust is there."""
    return without_engine(stack) or ("" if stack.locusts else "there is no stack")


def without_sidecar(stack: Stack) -> str:
    """The sidecar is where the master is, and that is another machine."""
    return without_stack(stack) or (
        "these workers' master is elsewhere, and its sidecar too" if stack.is_joined else ""
    )


def without_master(stack: Stack) -> str:
    """No master runs."""
    return without_stack(stack) or ("" if stack.running_master else "no master runs")


def without_workers(stack: Stack) -> str:
    """No worker is there."""
    return without_stack(stack) or ("" if stack.workers else "there is no worker")


def without_both(stack: Stack) -> str:
    """A master that runs and a worker are needed."""
    return without_master(stack) or without_workers(stack)
