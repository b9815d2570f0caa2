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
    ordered = sorted(findings, key=lambda one: (_RANK[one.severity], causes()[one.slug].order))
    kept: list[Finding] = []
    for one in ordered:
        position = next((at for at, earlier in enumerate(kept) if _explains(earlier, one, master)), None)
        if position is None:
            kept.append(one)
        else:
            told = kept[position]
            consequence = Consequence(one.slug, one.title, one.evidence)
            kept[position] = replace(told, consequences=(*told.consequences, consequence))
    return tuple(kept)


def _explains(earlier: Finding, later: Finding, master: ContainerFacts | None) -> bool:
    """Whether a finding is the reason of another one."""
    cause = causes()[earlier.slug]
    if later.slug not in cause.explains or _RANK[earlier.severity] > _RANK[later.severity]:
        return False
    same = set(earlier.affects) & set(later.affects)
    is_of_master = master is not None and master.name in earlier.affects
    return bool(same) or cause.reaches_all or is_of_master or later.slug in _COUNTED
