"""Check whether the requested users were running, and why others were not. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sidecar.common.units import plural
from sidecar.model.run_record import Moment, RunRecord, Unknown
from sidecar.report.verdict.counts import USERS, error_groups
from sidecar.report.verdict.reason import STEP, InvalidReason, Sustained, held, lasting, share_of

_SLACK = timedelta(seconds=5)  # workers report their users every 3 s
_SHORT_SECONDS, _LEAST_SECONDS = 20.0, 2.0  # if less time is left after a ramp, half of it is enough
_MOST_NAMED = 3


def users_short(record: RunRecord, limit: Sustained) -> Iterator[InvalidReason]:
    """Yield that too few users were running, sustained. Users that ended themselves do not count as missing."""
    too_slow = _ramp_beyond_the_run(record)
    if USERS not in record.meters or Unknown.SECONDS in record.unknown or too_slow:
        yield from _never_were_there(record, too_slow)
        return
    looks = [look for look in _looks(record) if look.is_judged]
    span = held([(look.at, look.short > 0) for look in looks], STEP)
    judged = (looks[-1].at - looks[0].at).total_seconds() if looks else 0.0
    is_most = span and judged < _SHORT_SECONDS and span.seconds >= max(_LEAST_SECONDS, judged / 2)
    if span and (is_most or span.is_sustained(record.seconds, limit)):
        yield _short(record, list(_looks(record)))
    else:
        yield from _not_made(record)


def _not_made(record: RunRecord) -> Iterator[InvalidReason]:
    """Yield that users could not be created, in a run that is too short to see how long they were missing."""
    last = next((moment for moment in reversed(record.load_moments) if moment.state in ("spawning", "running")), None)
    if last and (last.meters.get(USERS) or {}).get("not_made") and error_groups(record, "init"):
        causes = _causes(record, last.target_users)
        yield InvalidReason(
            "users_short", f"only {last.users} of {last.target_users} users were running at the end{causes}"
        )


def ended_in_on_start(record: RunRecord) -> bool:
    """Return whether all missing users ended in on_start while others ran: the limit on task errors judges that."""
    short = [look for look in _looks(record) if look.is_short]
    return bool(short) and all(look.there and look.died >= look.short for look in short)


@dataclass(frozen=True, slots=True)
class _Look:
    """The users at one moment.

    Attributes:
        at: when.
        there: running users, and users that ended themselves and were not replaced.
        died: users that an exception ended and that were not replaced.
        wanted: the requested users.
        is_judged: whether the ramp ended long enough ago that each worker has reported its users.

    """

    at: datetime
    there: int
    died: int
    wanted: int
    is_judged: bool

    @property
    def short(self) -> int:
        """How many users were missing."""
        return self.wanted - self.there

    @property
    def is_short(self) -> bool:
        """Whether users were missing at a moment that counts."""
        return self.is_judged and self.short > 0


def _looks(record: RunRecord) -> Iterator[_Look]:
    rate = float(record.plan.get("spawn_rate_per_second") or 0)
    wanted, since = 0, record.started_at
    ramped: datetime | None = None
    for moment in record.moments:
        if moment.state not in ("spawning", "running") or not moment.target_users:
            continue
        if moment.target_users != wanted:
            wanted, since, ramped = moment.target_users, moment.at, None
        stuck = rate > 0 and moment.at - since > timedelta(seconds=2 * wanted / rate)  # Locust's own ramp can end early
        is_over = moment.state == "running" or stuck
        ramped = ramped or (moment.at if is_over else None)
        meter = moment.meters.get(USERS) or {}
        there = moment.users + int(meter.get("finished_now") or 0)
        late = moment.at - (ramped or record.started_at) >= _SLACK
        is_judged = late and (ramped is not None or not there)  # in a ramp, only the lack of all users counts
        yield _Look(moment.at, there, int(meter.get("died_now") or 0), _handed_out(moment), is_judged)


def _handed_out(moment: Moment) -> int:
    """Return how many users Locust handed out: fewer than requested if every class has a fixed_count."""
    if moment.state == "running" and 0 < moment.dispatched_users < moment.target_users:
        return moment.dispatched_users
    return moment.target_users


def _short(record: RunRecord, looks: list[_Look]) -> InvalidReason:
    causes = _causes(record, max(look.wanted for look in looks))
    nobody = held([(look.at, look.there == 0) for look in looks], STEP)
    if nobody and nobody.seconds >= 0.5 * record.seconds:
        text = f"no user was running for {nobody.seconds:.0f} of {record.seconds:.0f} s"
        share = share_of(nobody.seconds, record)
        return InvalidReason("users_short", f"{text}{causes}", nobody.at, nobody.seconds, share)
    short = [look for look in looks if look.is_short]
    span = held([(look.at, look.is_short) for look in looks], STEP)
    assert span is not None  # noqa: S101  `users_short` found one
    least, most = min(look.there for look in short), max(look.there for look in short)
    number = f"{least}" if least == most else f"{least} to {most}"
    text = f"only {number} of {max(look.wanted for look in short)} users were running"
    return lasting("users_short", text, span, record, advice=causes)


def _causes(record: RunRecord, wanted: int) -> str:
    """Return why users were missing; "" if unknown."""
    not_made = max((int((m.meters.get(USERS) or {}).get("not_made") or 0) for m in record.moments), default=0)
    lost = plural(not_made, "user")
    said = [f"{group.text}: {lost} could not be made" for group in error_groups(record, "init")[:_MOST_NAMED]]
    for group in error_groups(record, "on_start", "died")[:_MOST_NAMED]:
        count = f"{group.count} of {wanted} users" if group.count <= wanted else f"{group.count} times a user"
        where = "in on_start" if group.kind == "on_start" else "with an exception that Locust does not catch"
        said.append(f"{count} ended {where}: {group.text}")
    said.extend(_stops(record))
    return "".join(f"; {text}" for text in said)


def _stops(record: RunRecord) -> Iterator[str]:
    """Yield where users' code stopped the runner of its worker."""
    for group in error_groups(record, "runner")[:_MOST_NAMED]:
        yield f"a user's own code called {group.what}, which stops all users of that worker"


def _ramp_beyond_the_run(record: RunRecord) -> str:
    """Return that the ramp takes longer than the run; "" if it does not, or with a load shape."""
    wanted, most = record.workers.wanted_users, record.workers.most_users
    rate, run_time = float(record.plan.get("spawn_rate_per_second") or 0), record.plan.get("run_time_seconds") or 0
    ramp = wanted / rate if rate else 0.0
    if record.plan.get("shape_class") or most >= wanted or not run_time or ramp <= float(run_time):
        return ""
    return f": the ramp takes {ramp:.0f} s at {rate:g} users/s, but RUN_TIME is {float(run_time):g} s"


def _never_were_there(record: RunRecord, too_slow: str) -> Iterator[InvalidReason]:
    """Yield that the requested users never ran. A load shape has no requested number."""
    wanted, most = record.workers.wanted_users, record.workers.most_users
    meter = record.meters.get(USERS) or {}
    finished, wanted = int(meter.get("finished") or 0), min(wanted, int(meter.get("asked") or wanted))
    if record.plan.get("shape_class") or most + finished >= wanted:
        return
    rate = float(record.plan.get("spawn_rate_per_second") or 0)
    ramp = wanted / rate if rate else 0.0
    if too_slow or record.seconds >= ramp + _SLACK.total_seconds():
        yield InvalidReason("users_short", f"at most {most} of {wanted} users were running{too_slow}")


def notes(record: RunRecord) -> Iterator[str]:
    """Yield notes on users: how many finished, what stopped them, which classes got no user."""
    meter = record.meters.get(USERS) or {}
    if finished := int(meter.get("finished") or 0):
        yield f"{plural(finished, 'user')} finished (StopUser)"
    by_class = {str(name): int(count) for name, count in (record.end.get("users_by_class") or {}).items()}
    fixed = {name: int(count) for name, count in (record.begin.get("fixed_counts") or {}).items()}
    counts = ", ".join(f"{name} {count}" for name, count in fixed.items())
    short = [moment for moment in record.moments if _handed_out(moment) < moment.target_users]
    if fixed and short:
        text = f"{_handed_out(short[-1])} of {short[-1].target_users} users were assigned to workers"
        yield f"{text}: no class takes more than its fixed_count ({counts})"
    without = [name for name, count in by_class.items() if not count]
    if without and any(by_class.values()):
        why = f"; fixed_count comes first ({counts})" if fixed else ""
        yield f"no user of {', '.join(without)} was running{why}"
    yield from _stops(record)
    for group in error_groups(record, "on_stop")[:_MOST_NAMED]:
        yield f"{plural(group.count, 'user')} raised in on_stop: {group.text}"
