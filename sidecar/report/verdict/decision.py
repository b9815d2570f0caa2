"""PASS, FAIL or INVALID: the judgement over one run. Pure.

INVALID comes first: when the generator broke, neither a low nor a high share of failures says anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sidecar.report.verdict.thresholds import Judged

PASS, FAIL, INVALID = "PASS", "FAIL", "INVALID"
EXIT_PASS, EXIT_FAIL, EXIT_THRESHOLD, EXIT_INVALID = 0, 1, 3, 4


@dataclass(frozen=True, slots=True)
class InvalidReason:
    """One thing that broke the measurement.

    Attributes:
        kind: what it is: an incident's kind, or one of rules/broken.py.
        text: one line for people.
        at: when it began; None when it is of the whole run.
        seconds: how long it lasted; None when that says nothing.
        share: of the run's time, 0 to 1; None likewise.

    """

    kind: str
    text: str
    at: datetime | None = None
    seconds: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of a run once it is over.

    Attributes:
        requests, failures: over the whole run.
        fail_ratio_limit: the largest share of failures that still passes, 0 to 1; None when a threshold says it.
        reasons: what broke, the gravest first.
        exception: what users' code raised, "" when nothing is known of it; told when there was no request.
        thresholds: what came of each.
        is_fatal: whether an INVALID run exits as one; else as what it would be otherwise.

    """

    requests: int
    failures: int
    fail_ratio_limit: float | None = 0.0
    reasons: tuple[InvalidReason, ...] = ()
    exception: str = ""
    thresholds: tuple[Judged, ...] = ()
    is_fatal: bool = True

    @property
    def fail_ratio(self) -> float:
        """Failed share of all requests; 0 without requests."""
        return self.failures / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Verdict:
    """The word, its exit code, and why: first what broke the measurement, then what the figures say.

    `broken` is the part of the reasons that makes it INVALID.
    """

    word: str
    exit_code: int
    reasons: tuple[str, ...]
    broken: tuple[InvalidReason, ...] = ()


def last_line(word: str, exit_code: int) -> str:
    """The line that ends every run: make shows only its own code, this one the true one."""
    why = ", ON_INVALID=warn" if word == INVALID and exit_code != EXIT_INVALID else ""
    return f"{word} (exit {exit_code}{why})"


def decide(facts: Facts) -> Verdict:
    """The verdict over these facts. A run that is both bad and broken is INVALID, and says both."""
    word, code, said = _by_figures(facts)
    broken = (*facts.reasons, *_too_little(facts))
    if not broken:
        return Verdict(word, code, said)
    texts = (*(one.text for one in broken), *(said if word == FAIL else ()))
    return Verdict(INVALID, EXIT_INVALID if facts.is_fatal else code, texts, broken)


def _by_figures(facts: Facts) -> tuple[str, int, tuple[str, ...]]:
    """Word, exit code and reasons as if nothing had broken."""
    limit = facts.fail_ratio_limit
    failed = tuple(threshold.text for threshold in facts.thresholds if _fails(threshold))
    allowed = "" if limit is None else f", the limit is {limit:.2%}"
    told = f"{facts.fail_ratio:.2%} of {facts.requests} requests failed{allowed}"
    if limit is not None and facts.fail_ratio > limit:
        return FAIL, EXIT_FAIL, (told, *failed)
    if failed:
        return FAIL, EXIT_THRESHOLD, failed
    return PASS, EXIT_PASS, (told, *(threshold.text for threshold in facts.thresholds))


def _fails(judged: Judged) -> bool:
    return judged.is_known and not judged.passed and not judged.threshold.is_soft


def _too_little(facts: Facts) -> Sequence[InvalidReason]:
    """That there were no requests, or too few for a percentile that was asked for."""
    if not facts.requests:
        why = f"; the users' code raised {facts.exception}" if facts.exception else ""
        return [InvalidReason("no_requests", f"not one request was made{why}")]
    unknown = [
        threshold for threshold in facts.thresholds if not threshold.is_known and not threshold.threshold.is_soft
    ]
    return [InvalidReason("few_samples", f"too few samples for {one.text}") for one in unknown]
