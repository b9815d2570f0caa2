"""The one judge: a run's record → PASS, FAIL or INVALID, the reasons and the exit code. Pure.

INVALID comes first: if the generator broke, its figures prove nothing. The judge does not know who saw the run. The
record lists what its source could not see (`RunRecord.unknown`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sidecar.common.times import format_time
from sidecar.common.units import plural
from sidecar.model import threshold
from sidecar.model.incident import Incident
from sidecar.model.observation import PluginStatus
from sidecar.model.run_record import STUCK_SECONDS, RunRecord, Unknown, number
from sidecar.model.snapshot import EndpointStats, Locust, VerdictSoFar
from sidecar.model.threshold import Threshold
from sidecar.report.verdict import counts, goodbye, outage, thresholds, unanswered, users
from sidecar.report.verdict.evidence import not_recorded, record_problem
from sidecar.report.verdict.reason import GeneratorLimits, InvalidReason, Sustained
from sidecar.report.verdict.reasons import ended_by_user_code, reasons
from sidecar.report.verdict.thresholds import Judged
from sidecar.report.verdict.unanswered import Unanswered

PASS, FAIL, INVALID = "PASS", "FAIL", "INVALID"
_JUDGED = ("actual", "samples", "samples_wanted", "is_known", "passed", "figure", "text")
_TASK_ERRORS, _OUTAGE, _AFTER_THE_END = "task errors", "outage", "requests after the end"
_ALWAYS_SAID = (_OUTAGE, _AFTER_THE_END)
_HALF = 0.5
_OF_AN_EARLY_END = frozenset({"ended_early", "few_samples"})
EXIT_PASS, EXIT_FAIL, EXIT_THRESHOLD, EXIT_INVALID = 0, 1, 3, 4


@dataclass(frozen=True, slots=True)
class Criteria:
    """The criteria of a run, as recorded at its start.

    Attributes:
        thresholds: the limits on the figures.
        fail_ratio: the largest share of failures that passes, 0 to 1; None if a threshold replaces it.
        outage_ratio: the share of failures in ten seconds that is an outage, 0 to 1; 0: not judged.
        task_error_ratio: the largest share of task runs that may raise, likewise; None also if they were not counted.
        is_fatal: whether an INVALID run has its own exit code; else it has that of PASS or FAIL.
        limits: the load above which a generator's figures prove nothing.
        problem: why the thresholds cannot be read; "" if they can.
        stuck_seconds: how long a request may wait before it counts as never answered; 0: no limit.

    """

    thresholds: tuple[Threshold, ...] = ()
    fail_ratio: float | None = 0.0
    outage_ratio: float = 0.0
    task_error_ratio: float | None = None
    is_fatal: bool = True
    limits: GeneratorLimits = field(default_factory=GeneratorLimits)
    problem: str = ""
    stuck_seconds: float = STUCK_SECONDS


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word, its exit code, and why.

    Attributes:
        word: PASS, FAIL or INVALID.
        exit_code: the exit code of `run`.
        reasons: first what broke the measurement, then what the figures show.
        broken: the part of the reasons that makes it INVALID.
        criteria: the criteria of the run.
        thresholds: the result of each threshold.
        checks: the results of the limits on the whole run.
        unanswered: the requests that never got an answer.

    """

    word: str
    exit_code: int
    reasons: tuple[str, ...]
    broken: tuple[InvalidReason, ...]
    criteria: Criteria
    thresholds: tuple[Judged, ...] = ()
    checks: tuple[LimitChecked, ...] = ()
    unanswered: tuple[Unanswered, ...] = ()


@dataclass(frozen=True, slots=True)
class LimitChecked:
    """The result of one limit on a whole run.

    Attributes:
        name: what is limited.
        passed: whether the limit holds.
        texts: for people, a line each.
        so_far: the same in one line without counts, which change each second.

    """

    name: str
    passed: bool
    texts: tuple[str, ...]
    so_far: str = ""


def judge(record: RunRecord) -> Verdict:
    """Judge a run by its record. A run that failed and broke is INVALID, and reports both.

    A run that the user's code ended because of a missed limit is FAIL: this is the purpose of such code. So is a run
    in which only users with exceptions in on_start are missing, if these are beyond the limit on task errors.
    """
    criteria = _criteria(record.begin.get("judge") or {}, counts_tasks=counts.USERS in record.meters)
    stuck = unanswered.unanswered(record, criteria.stuck_seconds)
    checked = thresholds.check(criteria.thresholds, record, {endpoint.key: endpoint.count for endpoint in stuck})
    checks = tuple(_checks(record, criteria, unanswered.total(stuck)))
    word, code, said = _by_figures(record, checks, checked, unanswered.lines(stuck))
    broken = (
        *reasons(record, criteria.limits),
        *not_recorded(record),
        *counts.accounts_differ(record),
        *_too_little(record, checked, unanswered.total(stuck)),
    )
    by_user_code = ended_by_user_code(record)
    if by_user_code and (not broken or (word == FAIL and all(reason.kind in _OF_AN_EARLY_END for reason in broken))):
        said, broken = (*said, by_user_code), ()
    own_errors = any(check.name == _TASK_ERRORS and not check.passed for check in checks)
    if own_errors and all(reason.kind == "users_short" for reason in broken) and users.ended_in_on_start(record):
        said, broken = (*said, *(reason.text for reason in broken)), ()
    if broken:
        texts = [reason.text for reason in broken]
        further = said if word == FAIL else (*_texts(checks, _ALWAYS_SAID), *users.notes(record))
        said = (*texts, *(text for text in further if not any(text in known for known in texts)))
        word, code = INVALID, EXIT_INVALID if criteria.is_fatal else code
    return Verdict(word, code, said, broken, criteria, checked, checks, stuck)


def _by_figures(
    record: RunRecord, checks: tuple[LimitChecked, ...], checked: tuple[Judged, ...], stuck: tuple[str, ...]
) -> tuple[str, int, tuple[str, ...]]:
    """Return word, exit code and reasons without regard to what broke."""
    failed = _missed(checked)
    is_beyond = any(not check.passed for check in checks)
    said = {_TASK_ERRORS, *_ALWAYS_SAID, *(check.name for check in checks if not check.passed)}
    beyond = tuple(_texts(checks, said))
    further = (*stuck, *users.notes(record))
    if is_beyond or failed:
        by_limit = any(not check.passed and check.name != _OUTAGE for check in checks)
        return FAIL, EXIT_FAIL if by_limit or not failed else EXIT_THRESHOLD, (*beyond, *failed, *further)
    within = (text for check in checks for text in check.texts)
    return PASS, EXIT_PASS, (*within, *(judged.text for judged in checked), *further)


def _texts(checks: Iterable[LimitChecked], names: Container[str]) -> Iterator[str]:
    return (text for check in checks if check.name in names for text in check.texts)


def _missed(checked: tuple[Judged, ...]) -> tuple[str, ...]:
    """Return the missed thresholds, except those that are only reported."""
    return tuple(
        judged.text for judged in checked if judged.is_known and not judged.passed and not judged.threshold.is_soft
    )


def _checks(record: RunRecord, criteria: Criteria, never: int) -> Iterator[LimitChecked]:
    """Yield the results of the limits. Task errors come first: such a run did not measure what was planned.

    `never` is the number of unanswered requests.
    """
    errors, limit = counts.task_errors(record), criteria.task_error_ratio
    by_threshold = any(asked.replaces_task_error_ratio for asked in criteria.thresholds)
    if errors.count and (limit is not None or by_threshold):
        allowed = "" if limit is None else f", the limit is {limit:.2%}"
        runs = f" in {errors.runs} runs of tasks ({errors.ratio:.2%})" if errors.runs else " in users' code"
        total = f"{plural(errors.count, 'exception')}{runs}{allowed}"
        texts = (counts.idle_workers(record), *errors.lines(), total)
        first = "".join(f": {group.text}" for group in errors.groups[:1])
        so_far = f"{errors.ratio:.2%} of the task runs raised an exception, the limit is {limit or 0:.2%}{first}"
        yield LimitChecked(_TASK_ERRORS, limit is None or errors.ratio <= limit, tuple(filter(None, texts)), so_far)
    elif limit is not None:
        yield LimitChecked(_TASK_ERRORS, passed=True, texts=())
    stall = unanswered.stall(record, criteria.stuck_seconds)
    if stall:
        yield LimitChecked("waits for answers", passed=False, texts=(stall.text,))
    failed, limit = counts.failed(record, unanswered=never), criteria.fail_ratio
    allowed = "" if limit is None else f", the limit is {limit:.2%}"
    of_them = f", {never} of them without an answer" if never else ""
    yield LimitChecked(
        "failed requests",
        limit is None or failed.ratio <= limit,
        (f"{failed.ratio:.2%} of {failed.requests} requests failed{of_them}{allowed}",),
        f"{failed.ratio:.2%} of the requests failed, the limit is {limit or 0:.2%}",
    )
    found = tuple(outage.lines(record, criteria.outage_ratio, never))
    texts = (*found, *filter(None, (outage.concentration(record, never),)))
    if texts or criteria.outage_ratio:
        yield LimitChecked(_OUTAGE, not found, texts, found[0] if found else "")
    if after := tuple(goodbye.lines(record)):
        yield LimitChecked(_AFTER_THE_END, goodbye.is_within(record, failed.requests, failed.failures, limit), after)


def _too_little(record: RunRecord, checked: tuple[Judged, ...], never: int) -> Iterator[InvalidReason]:
    """Yield a reason if there were no requests, or too few for a requested percentile."""
    if Unknown.END in record.unknown or not (record.end or record.figures):  # their number was not recorded
        return
    if not counts.failed(record, never).requests:
        raised = counts.task_errors(record).groups or counts.error_groups(record, "init")
        why = ""
        if raised:
            place = f", in {raised[0].name}" if raised[0].name else ""
            why = f"; the users' code raised {raised[0].count} × {raised[0].what}{place}"
        if not any(unanswered.unreported(record)):  # unreported answers are a reason of their own
            yield InvalidReason("no_requests", unanswered.none_came_back(record) or f"no request was made{why}")
        return
    for judged in checked:
        if not judged.is_known and not judged.threshold.is_soft:
            why = judged.text if judged.unknown else f"too few samples for {judged.text}"
            yield InvalidReason("few_samples", why)


def live_record(
    plugin: PluginStatus, locust: Locust, incidents: Iterable[Incident], fail_ratio: float, recording_error: str = ""
) -> RunRecord:
    """Return the record of a run under way, as the monitor's rounds see it.

    Args:
        plugin: the plugin's status; its run has a start.
        locust: the master's figures.
        incidents: all known ones; those before the run, or of other things than Locust, are ignored.
        fail_ratio: the largest share of failed requests that passes, 0 to 1, if the plugin has no criteria.
        recording_error: why incidents cannot be recorded now; "" if they can.
    """
    run, total = plugin.run, locust.total
    assert run is not None  # noqa: S101  `so_far` looks
    assert run.started_at is not None  # noqa: S101  the same
    return RunRecord(
        run_id=run.run_id,
        started_at=run.started_at,
        is_running=True,
        begin={"judge": plugin.judge or {"fail_ratio_limit": fail_ratio}},
        statistics={"figures": goodbye.of_load(_live_figures(total), plugin.meters) if total else {}},
        groups=plugin.failure_groups,
        meters=plugin.meters,
        incidents=tuple(incidents),
        watched_until=run.started_at,
        recording_error=recording_error,
        unwritten=record_problem(plugin),
        unknown=frozenset(Unknown) - ({Unknown.CLASSES} if plugin.failure_groups else set()),
    )


def _live_figures(total: EndpointStats) -> dict[str, Any]:
    return {
        "requests": total.requests,
        "failures": total.failures,
        "average_ms": total.average_ms,
        "min_ms": total.least_ms,
        "max_ms": total.most_ms,
    }


def so_far(
    plugin: PluginStatus | None,
    locust: Locust | None,
    incidents: Iterable[Incident],
    fail_ratio: float,
    recording_error: str = "",
) -> VerdictSoFar | None:
    """Judge the current or last run; None without a run, or before its first request.

    The criteria are the run's own. A threshold that needs the end (`rps>50`, a percentile) is checked at the end.
    The arguments are those of `live_record`.
    """
    if plugin is None or plugin.run is None or plugin.run.started_at is None or locust is None:
        return None
    record = live_record(plugin, locust, incidents, fail_ratio, recording_error)
    verdict = judge(record)
    if verdict.broken:
        return VerdictSoFar(verdict.word, tuple(reason.text for reason in verdict.broken))
    beyond = tuple(check.so_far or check.texts[0] for check in verdict.checks if not check.passed)
    if not counts.failed(record).requests and not beyond:
        return None
    if verdict.word != FAIL:
        return VerdictSoFar(verdict.word)
    return VerdictSoFar(FAIL, (*beyond, *_missed(verdict.thresholds)))


def _criteria(words: Mapping[str, Any], *, counts_tasks: bool) -> Criteria:
    """Read the criteria of run.json. A threshold that cannot be read becomes `problem`, not an error.

    A run of a version that counted no task runs has no limit on them, and is not judged by them.
    """
    try:
        asked, problem = threshold.parse(str(words.get("thresholds") or "")), ""
    except ValueError as error:
        asked, problem = (), f"the run's thresholds cannot be read: {error}"
    usual = GeneratorLimits()
    return Criteria(
        asked,
        _allowed(words, "fail_ratio", any(one.replaces_fail_ratio for one in asked)),
        _outage_ratio(words, asked),
        _allowed(words, "task_error_ratio", any(one.replaces_task_error_ratio for one in asked))
        if counts_tasks or words.keys() & {"task_error_ratio", "task_error_ratio_limit"}
        else None,
        str(words.get("on_invalid") or "fail") != "warn",
        GeneratorLimits(
            number(words.get("generator_cpu"), usual.cpu_percent),
            number(words.get("generator_throttled"), usual.throttled_percent),
            number(words.get("generator_blocked"), usual.blocked_share),
            Sustained(
                number(words.get("sustained_seconds"), usual.sustained.seconds),
                number(words.get("sustained_share"), usual.sustained.share),
            ),
            number(words.get("rate_kept"), usual.rate_kept),
        ),
        problem,
        number(words.get("stuck_seconds"), STUCK_SECONDS),
    )


def _outage_ratio(words: Mapping[str, Any], asked: tuple[Threshold, ...]) -> float:
    """Return the share of failures that makes ten seconds an outage; 0 if another limit replaces it."""
    allowed = [one.limit for one in asked if one.replaces_fail_ratio and one.sign in threshold.UPPER]
    limit = _allowed(words, "fail_ratio", bool(allowed))
    by_threshold = any(one.metric == "fail_ratio" and one.window and not one.is_soft for one in asked)
    if by_threshold or max([limit or 0.0, *allowed]) >= _HALF:
        return 0.0
    return number(words.get("outage_ratio"), _HALF)


def _allowed(words: Mapping[str, Any], name: str, by_threshold: bool) -> float | None:  # noqa: FBT001
    """Return the largest share that passes; None if a threshold over the whole run replaces it."""
    if f"{name}_limit" in words:
        limit = words[f"{name}_limit"]
        return None if limit is None else number(limit, 0.0)
    return None if by_threshold else number(words.get(name), 0.0)


def judged_document(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict in parts, for programs."""
    limits = verdict.criteria.limits
    return {
        "reasons": [
            {
                "kind": reason.kind,
                "text": reason.text,
                "at": format_time(reason.at) if reason.at else None,
                "seconds": None if reason.seconds is None else round(reason.seconds, 1),
                "share": None if reason.share is None else round(reason.share, 4),
            }
            for reason in verdict.broken
        ],
        "thresholds": [
            {
                "threshold": judged.threshold.text,
                "is_soft": judged.threshold.is_soft,
                "limit": judged.threshold.limit,
                **{name: getattr(judged, name) for name in _JUDGED},
            }
            for judged in verdict.thresholds
        ],
        "checks": [
            {"name": check.name, "passed": check.passed, "text": "\n".join(check.texts)} for check in verdict.checks
        ],
        "limits": {
            "fail_ratio": verdict.criteria.fail_ratio,
            "outage_ratio": verdict.criteria.outage_ratio,
            "task_error_ratio": verdict.criteria.task_error_ratio,
            "rate_kept": limits.rate_kept,
            "generator_cpu_percent": limits.cpu_percent,
            "generator_throttled_percent": limits.throttled_percent,
            "generator_blocked_share": limits.blocked_share,
            "sustained_seconds": limits.sustained.seconds,
            "sustained_share": limits.sustained.share,
            "stuck_seconds": verdict.criteria.stuck_seconds,
        },
    }


def last_line(word: str, exit_code: int) -> str:
    """Return the last line of a run: it has the true exit code, while make shows only its own."""
    why = ", ON_INVALID=warn" if word == INVALID and exit_code != EXIT_INVALID else ""
    return f"{word} (exit {exit_code}{why})"
