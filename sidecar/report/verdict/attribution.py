"""Attribute a run's failures to its incidents, by their times. Pure.

Failures within ten seconds of an incident are compared with the share of the run that these seconds are. Nearness in
time is no proof, and the words say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sidecar.common.units import plural
from sidecar.model.incident import Incident
from sidecar.model.run_record import Moment

NEAR = timedelta(seconds=10)
LIKELY, POSSIBLE, UNLIKELY, NONE = "likely", "possible", "unlikely", "none"

_MOST, _MANY = 0.8, 0.3
_TIMES_CHANCE = 2.0
_GISTS = {
    LIKELY: "Most failures came within 10 s of a worker's or the master's incident: they say little about the target.",
    POSSIBLE: "Some failures came within 10 s of a worker's or the master's incident. The target may cause the others.",
}
_UNRELATED = "The failures came with and without incidents alike: the target or the network is the more likely cause."


@dataclass(frozen=True, slots=True)
class Attributed:
    """The relation of a run's failures to one incident.

    Attributes:
        incident: its id.
        near: failures within ten seconds of it.
        share: of all failures, 0 to 1.
        time_share: the share of those seconds in the run's time, 0 to 1.
        before_per_minute, after_per_minute: failures per minute outside of them; None without such a time.
        confidence: likely, possible or unlikely to be their cause; none without a failure.
        text: the same in one line.

    """

    incident: str
    near: int
    share: float
    time_share: float
    before_per_minute: float | None
    after_per_minute: float | None
    confidence: str
    text: str


def attribute(incident: Incident, moments: Sequence[Moment], ends: datetime) -> Attributed | None:
    """Return the relation of the failures to an incident; None without a timeline. `ends` is the run's end."""
    if not moments:
        return None
    begun = moments[0].at
    since = max(begun, incident.at - NEAR)
    until = min(ends, (incident.until or incident.at) + NEAR)
    total = failures_at(moments, moments[-1].at)
    before, by_then = failures_at(moments, since), failures_at(moments, until)
    near = max(0, by_then - before)
    share = near / total if total else 0.0
    time_share = min(1.0, (until - since) / (ends - begun)) if ends > begun else 1.0
    confidence = _confidence(total, share, time_share)
    return Attributed(
        incident.id,
        near,
        share,
        time_share,
        _per_minute(before, since - begun),
        _per_minute(total - by_then, ends - until),
        confidence,
        _text(total, near, share, time_share, confidence),
    )


def failures_at(moments: Sequence[Moment], at: datetime) -> int:
    """Return how many requests had failed by then. A reset of Locust's statistics does not reset this number."""
    total = before = 0
    for moment in moments:
        if moment.at > at:
            break
        total += moment.failures - before if moment.failures >= before else moment.failures
        before = moment.failures
    return total


def _confidence(total: int, share: float, time_share: float) -> str:
    if not total:
        return NONE
    if share >= _MOST and share >= _TIMES_CHANCE * time_share:
        return LIKELY
    return POSSIBLE if share >= _MANY and share >= _TIMES_CHANCE * time_share else UNLIKELY


def _per_minute(count: int, span: timedelta) -> float | None:
    seconds = span.total_seconds()
    return round(60 * count / seconds, 1) if seconds >= 1 else None


def _text(total: int, near: int, share: float, time_share: float, confidence: str) -> str:
    if confidence == NONE:
        return "no request failed"
    share_of_all = f"{near} of {total} failures ({share:.0%}) came within 10 s of it, in {time_share:.0%} of the time"
    return share_of_all + {
        LIKELY: ": likely their cause",
        POSSIBLE: ": possibly the cause of some of them",
        UNLIKELY: ": hardly their cause, since failures came without it, too",
    }.get(confidence, "")


def gist(
    total: int, attributed: Sequence[Attributed], *, incidents: int, of_generator: int, watched: bool = True
) -> str:
    """Return one sentence on where the failures of a run come from.

    Args:
        total: how many requests failed.
        attributed: their relation to each incident that broke the run.
        incidents: how many such incidents there are.
        of_generator: how many failed because of limits of the load machine.
        watched: whether it is known what happened to the containers.
    """
    if not total:
        return "No request failed."
    own = f"{of_generator} of {total} failures come from limits of the load machine, not from the target"
    if of_generator * 2 >= total:
        return f"{own}."
    if not watched or (incidents and not attributed):
        rest = "It is unknown whether the workers or the master caused the failures."
    elif of_generator and not incidents:
        rest = f"The other {total - of_generator} come from the target, the network or the test's own checks."
    elif not incidents:
        rest = (
            f"The workers and the master were fine: the {plural(total, 'failure')} came from the target, "
            "the network or the test's own checks."
        )
    else:
        best = {of_incident.confidence for of_incident in attributed}
        rest = next((text for confidence, text in _GISTS.items() if confidence in best), _UNRELATED)
    return f"{own}. {rest}" if of_generator else rest
