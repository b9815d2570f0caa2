"""Which finding is the cause of which. Pure.

The earliest cause that explains a later symptom of the same containers keeps it as its consequence. What nothing
explains stays a finding of its own: two independent faults are two findings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec.structs

from sidecar.diagnose.catalogue import Cause
from sidecar.model.finding import Consequence, Finding
from sidecar.model.incident import Severity

Relation = Callable[[Cause, Finding, Finding], bool]  # whether a symptom that a cause can explain is of that very cause
_RANK = {Severity.ERROR: 0, Severity.WARN: 1, Severity.INFO: 2}


def ranked(findings: Sequence[Finding], known: Mapping[str, Cause], is_related: Relation) -> tuple[Finding, ...]:
    """Return the findings that stand by themselves, with their consequences.

    Errors come first, then the catalogue's order of dependency decides.
    """

    def explains(earlier: Finding, later: Finding) -> bool:
        cause = known[earlier.slug]
        can_explain = later.slug in cause.explains and _RANK[earlier.severity] <= _RANK[later.severity]
        return can_explain and is_related(cause, earlier, later)

    ordered = sorted(findings, key=lambda finding: (_RANK[finding.severity], known[finding.slug].order))
    roots: dict[int, list[Finding]] = {}
    for position, finding in enumerate(ordered):
        root = _root(position, ordered, explains)
        roots.setdefault(root, []).extend([] if root == position else [finding])
    return tuple(_with_consequences(ordered[root], roots[root]) for root in sorted(roots))


def _root(position: int, ordered: Sequence[Finding], explains: Callable[[Finding, Finding], bool]) -> int:
    """Follow a finding to where its cause stands; of two that explain each other, the earlier one is the cause."""
    walked = [position]
    while True:
        here = walked[-1]
        above = next((at for at, other in enumerate(ordered) if at != here and explains(other, ordered[here])), None)
        if above is None:
            return here
        if above in walked:
            return min(walked[walked.index(above) :])
        walked.append(above)


def _with_consequences(finding: Finding, symptoms: Sequence[Finding]) -> Finding:
    consequences = {
        symptom.slug: Consequence(symptom.slug, symptom.title, symptom.evidence)
        for symptom in symptoms
        if symptom.slug != finding.slug
    }
    return msgspec.structs.replace(finding, consequences=tuple(consequences.values()))
