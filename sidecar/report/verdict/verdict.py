"""What a run is worth so far. Pure.

A run in which a generator died, or in which nobody could look, is no evidence either way: INVALID comes before FAIL.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sidecar.incidents.warnings import MASTER, WORKER
from sidecar.model.incident import ExitReason, Incident, IncidentKind
from sidecar.model.snapshot import Locust, RunStatus, VerdictSoFar
from sidecar.report.verdict.decision import FAIL, INVALID, PASS

_ALWAYS = frozenset({IncidentKind.WORKER_LOST, IncidentKind.MASTER_RESTART})
_OF_GENERATORS = frozenset({IncidentKind.OOM_KILL, IncidentKind.RESTART, IncidentKind.EXIT})
_GRAVITY = (
    IncidentKind.MASTER_RESTART,
    IncidentKind.OOM_KILL,
    IncidentKind.WORKER_LOST,
    IncidentKind.RESTART,
    IncidentKind.EXIT,
    IncidentKind.BLIND,
)


def so_far(
    run: RunStatus | None, locust: Locust | None, incidents: Iterable[Incident], fail_ratio: float
) -> VerdictSoFar | None:
    """Judge the run that is under way, or was last; None without one, or before its first request.

    Args:
        run: the run, as the plugin knows it.
        locust: the master's figures.
        incidents: whatever is known; those before the run, or of other things than Locust, are passed over.
        fail_ratio: the share of failed requests that is still a pass, 0 to 1.
    """
    if run is None or run.started_at is None or locust is None:
        return None
    broken = invalidating(run.started_at, incidents)
    if broken:
        return VerdictSoFar(INVALID, tuple(one.text for one in broken))
    if locust.total is None or not locust.total.requests:
        return None
    if locust.fail_ratio > fail_ratio:
        return VerdictSoFar(FAIL, (f"{locust.fail_ratio:.2%} of the requests failed, {fail_ratio:.2%} are allowed",))
    return VerdictSoFar(PASS)


def invalidating(started_at: datetime, incidents: Iterable[Incident]) -> tuple[Incident, ...]:
    """What makes a run INVALID that began then: the incidents that follow from no other, the gravest first."""
    reasons = [incident for incident in incidents if incident.at >= started_at and _invalidates(incident)]
    ids = {reason.id for reason in reasons}
    roots = sorted(
        (reason for reason in reasons if reason.cause not in ids),
        key=lambda reason: (_GRAVITY.index(reason.kind), reason.at),
    )
    return tuple(roots)


def _invalidates(incident: Incident) -> bool:
    if incident.helper or incident.kind in _ALWAYS:
        return not incident.helper and incident.reason is not ExitReason.STOPPED
    if incident.kind in _OF_GENERATORS:
        return incident.service in {MASTER, WORKER} and incident.reason is not ExitReason.STOPPED and incident.count > 0
    return incident.kind is IncidentKind.BLIND and incident.severity != "info"
