"""PASS, FAIL or INVALID: the judgement over one run. Pure.

INVALID comes first: when the generator broke, neither a low nor a high share of failures says anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.rules.thresholds import Judged

EXIT_PASS, EXIT_FAIL, EXIT_THRESHOLD, EXIT_INVALID = 0, 1, 3, 4


@dataclass(frozen=True)
class Facts:
    """What is known of a run once it is over. Times in seconds, shares from 0 to 1.

    Attributes:
        requests, failures: over the whole run.
        fail_ratio_limit: the largest share of failures that still passes; None when a threshold says it.
        incidents: what broke by the sidecar's account, the gravest first.
        generator: what failed for the load machine's own limits, "" for nothing.
        users_short: that users were missing from beginning to end, "" when not.
        workers_lost: how many went missing at some time; workers that said goodbye do not count.
        master_lost: what happened to the master, "" when nothing did.
        ended_early: why the run ended before its time, "" when it did not.
        exception: what users' code raised, "" when nothing is known of it; told when there was no request.
        thresholds: what came of each.
        is_fatal: whether an INVALID run exits as one; else as what it would be otherwise.

    """

    requests: int
    failures: int
    fail_ratio_limit: float | None = 0.0
    workers_lost: int = 0
    master_lost: str = ""
    ended_early: str = ""
    exception: str = ""
    incidents: tuple[str, ...] = ()
    generator: str = ""
    users_short: str = ""
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
    broken: tuple[str, ...] = ()

    @property
    def last_line(self) -> str:
        """The line that ends every run: make shows only its own code, this one the true one."""
        why = ", ON_INVALID=warn" if self.broken and self.exit_code != EXIT_INVALID else ""
        return f"{self.word} (exit {self.exit_code}{why})"


def decide(facts: Facts) -> Verdict:
    """The verdict over these facts. A run that is both bad and broken is INVALID, and says both."""
    word, code, said = _by_figures(facts)
    broken = _what_broke(facts)
    if not broken:
        return Verdict(word, code, said)
    return Verdict(
        "INVALID", EXIT_INVALID if facts.is_fatal else code, (*broken, *(said if word == "FAIL" else ())), broken
    )


def _by_figures(facts: Facts) -> tuple[str, int, tuple[str, ...]]:
    """Word, exit code and reasons as if nothing had broken."""
    limit = facts.fail_ratio_limit
    failed = tuple(one.text for one in facts.thresholds if _fails(one))
    allowed = "" if limit is None else f", the limit is {limit:.2%}"
    told = f"{facts.fail_ratio:.2%} of {facts.requests} requests failed{allowed}"
    if limit is not None and facts.fail_ratio > limit:
        return "FAIL", EXIT_FAIL, (told, *failed)
    if failed:
        return "FAIL", EXIT_THRESHOLD, failed
    return "PASS", EXIT_PASS, (told, *(one.text for one in facts.thresholds))


def _fails(one: Judged) -> bool:
    return one.is_known and not one.passed and not one.threshold.is_soft


def _what_broke(facts: Facts) -> tuple[str, ...]:
    found = [*facts.incidents]
    if facts.master_lost:
        found.append(facts.master_lost)
    if facts.workers_lost:
        one = facts.workers_lost == 1
        found.append(f"{facts.workers_lost} worker{'' if one else 's'} went missing during the run")
    found += [reason for reason in (facts.generator, facts.users_short, facts.ended_early) if reason]
    if not facts.requests:
        why = f"; the users' code raised {facts.exception}" if facts.exception else ""
        found.append(f"not one request was made{why}")
    else:
        unknown = [one for one in facts.thresholds if not one.is_known and not one.threshold.is_soft]
        found += [f"too few samples for {one.text}" for one in unknown]
    return tuple(found)
