"""Which finding is the cause of which. Pure.

The earliest cause that explains a later symptom of the same containers keeps it as its consequence. What nothing
explains stays a finding of its own: two independent faults are two findings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sidecar.diagnose.catalogue import causes
from sidecar.diagnose.evidence import ContainerFacts
from sidecar.model.finding import Consequence, Finding
from sidecar.model.incident import Severity

_RANK = {Severity.ERROR: 0, Severity.WARN: 1, Severity.INFO: 2}
_COUNTED = frozenset({"workers-fewer-than-expected", "stack-down"})  # sums of what others tell one by one


def ranked(findings: Sequence[Finding], master: ContainerFacts | None) -> tuple[Finding, ...]:
    """The findings that stand by themselves, errors first, then in the order of dependency, with their consequences."""
    ordered = sorted(findings, key=lambda finding: (_RANK[finding.severity], causes()[finding.slug].order))
    roots: dict[int, list[Finding]] = {}
    for position, one in enumerate(ordered):
        root = _root(position, ordered, master)
        roots.setdefault(root, []).extend([] if root == position else [one])
    return tuple(_with_consequences(ordered[root], roots[root]) for root in sorted(roots))


def _root(position: int, ordered: Sequence[Finding], master: ContainerFacts | None) -> int:
    """Where the cause of a finding stands, followed to its end; of two that explain each other, the earlier one."""
    walked = [position]
    while True:
        here = walked[-1]
        above = next(
            (at for at, other in enumerate(ordered) if at != here and _explains(other, ordered[here], master)), None
        )
        if above is None:
            return here
        if above in walked:
            return min(walked[walked.index(above) :])
        walked.append(above)


def _with_consequences(finding: Finding, symptoms: Sequence[Finding]) -> Finding:
    told = {
        symptom.slug: Consequence(symptom.slug, symptom.title, symptom.evidence)
        for symptom in symptoms
        if symptom.slug != finding.slug
    }
    return replace(finding, consequences=tuple(told.values()))


def _explains(earlier: Finding, later: Finding, master: ContainerFacts | None) -> bool:
    """Whether a finding is the reason of another one."""
    cause = causes()[earlier.slug]
    if later.slug not in cause.explains or _RANK[earlier.severity] > _RANK[later.severity]:
        return False
    same = set(earlier.affects) & set(later.affects)
    is_of_master = master is not None and master.name in earlier.affects
    return bool(same) or cause.reaches_all or is_of_master or later.slug in _COUNTED
