"""PASS, FAIL or INVALID: the judgement over one run. Pure.

INVALID comes first: when the generator broke, neither a low nor a high share of failures says anything.
"""

from __future__ import annotations

from dataclasses import dataclass

EXIT_PASS, EXIT_FAIL, EXIT_INVALID = 0, 1, 4


@dataclass(frozen=True)
class Facts:
    """What is known of a run once it is over. Times in seconds, shares from 0 to 1.

    Attributes:
        requests, failures: over the whole run.
        fail_ratio_limit: the largest share of failures that still passes.
        workers_lost: how many went missing at some time; workers that said goodbye do not count.
        master_lost: what happened to the master, "" when nothing did.
        ended_early: why the run ended before its time, "" when it did not.
        exception: what users' code raised, "" when nothing is known of it; told when there was no request.

    """

    requests: int
    failures: int
    fail_ratio_limit: float = 0.0
    workers_lost: int = 0
    master_lost: str = ""
    ended_early: str = ""
    exception: str = ""

    @property
    def fail_ratio(self) -> float:
        """Failed share of all requests; 0 without requests."""
        return self.failures / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class Verdict:
    """The word, its exit code, and why."""

    word: str
    exit_code: int
    reasons: tuple[str, ...]

    @property
    def last_line(self) -> str:
        """The line that ends every run: make shows only its own code, this one the true one."""
        return f"{self.word} (exit {self.exit_code})"


def decide(facts: Facts) -> Verdict:
    """The verdict over these facts."""
    broken = _what_broke(facts)
    if broken:
        return Verdict("INVALID", EXIT_INVALID, broken)
    told = f"{facts.fail_ratio:.2%} of {facts.requests} requests failed, the limit is {facts.fail_ratio_limit:.2%}"
    if facts.fail_ratio > facts.fail_ratio_limit:
        return Verdict("FAIL", EXIT_FAIL, (told,))
    return Verdict("PASS", EXIT_PASS, (told,))


def _what_broke(facts: Facts) -> tuple[str, ...]:
    found = []
    if facts.master_lost:
        found.append(facts.master_lost)
    if facts.workers_lost:
        one = facts.workers_lost == 1
        found.append(f"{facts.workers_lost} worker{'' if one else 's'} went missing during the run")
    if facts.ended_early:
        found.append(facts.ended_early)
    if not facts.requests:
        why = f"; the users' code raised {facts.exception}" if facts.exception else ""
        found.append(f"not one request was made{why}")
    return tuple(found)
