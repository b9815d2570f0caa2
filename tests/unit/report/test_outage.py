"""Failures that come together, what came after the end, and thresholds over a part of the time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sidecar.common.times import format_time
from sidecar.model.incident import Incident, IncidentKind, Severity
from sidecar.model.run_record import Moment, RunRecord, Unknown
from sidecar.model.threshold import parse
from sidecar.report.verdict.judge import Verdict, judge, judged_document
from sidecar.report.verdict.outage import concentration, outages

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ALL_BUT_OF_REQUESTS = frozenset(Unknown) - {Unknown.END, Unknown.PLAN}


def ran(
    seconds: int, failing: Callable[[int], int], each: int = 40, moments: tuple[Moment, ...] = (), **words: Any
) -> RunRecord:
    """Return a run with so many requests each second; `failing` says how many of a second's fail."""
    failures = [failing(second) for second in range(seconds)]
    total, failed = each * seconds, sum(failures)
    end = START + timedelta(seconds=seconds)
    return RunRecord(
        "run-1",
        START,
        ended_at=end + timedelta(seconds=30),
        begin={"judge": words, "plan": {"run_time_seconds": seconds}},
        end={"load_ended_at": format_time(end), "requests": total, "failures": failed},
        statistics={
            "figures": {"requests": total, "failures": failed},
            "over_time": {
                "from": format_time(START), "step_seconds": 1, "requests": [each] * seconds, "failures": failures
            },
        },
        moments=moments,
        watched_until=end,
        unknown=ALL_BUT_OF_REQUESTS,
    )  # fmt: skip


def late(seconds: int, last: int) -> RunRecord:
    return ran(seconds, lambda second: 40 if second >= seconds - last else 0, fail_ratio="10%")


def word(verdict: Verdict) -> tuple[str, int]:
    return verdict.word, verdict.exit_code


LAST_TEN = (
    "outage: 100% of 400 requests failed from 12:01:50 to 12:02:00 UTC (10 s), until the end; "
    "the limit is 50% of any 10 s"
)
ALL_LATE = "all 400 failures came in the last 10 s (from 12:01:50 UTC): 100% of the requests in that time failed"


def test_an_outage_at_the_end_fails_a_run_whose_share_of_failures_is_allowed() -> None:
    verdict = judge(late(120, 10))
    assert word(verdict) == ("FAIL", 1)
    assert verdict.reasons == (LAST_TEN, ALL_LATE)


def test_an_outage_in_the_middle_has_ended_and_another_is_counted() -> None:
    record = ran(120, lambda second: 30 if second in {*range(40, 50), *range(80, 90)} else 0, fail_ratio="20%")
    (first, *_), *_ = (judge(record).reasons,)
    assert first.startswith("outage: 75% of 400 requests failed from 12:00:40 to 12:00:50 UTC (10 s); the limit")
    assert first.endswith("; 1 more outage")
    assert concentration(record) == ""


def test_a_concentration_that_is_no_outage_is_said_whatever_the_word() -> None:
    record = late(60, 2)
    verdict = judge(record)
    assert word(verdict) == ("PASS", 0)
    said = "all 80 failures came in the last 2 s (from 12:00:58 UTC): 100% of the requests in that time failed"
    assert said in verdict.reasons
    invalid = judge(replace(record, unwatched="nobody watched"))
    assert (invalid.word, said in invalid.reasons) == ("INVALID", True)


def test_it_names_the_incident_that_the_monitor_opened() -> None:
    at = START + timedelta(seconds=113)
    made = Incident("i-1", IncidentKind.FAILURE_RATIO, Severity.ERROR, at, "too many")
    assert (
        judge(replace(late(120, 10), incidents=(made,))).reasons[0].endswith("(incident failure_ratio at 12:01:53 UTC)")
    )


@pytest.mark.parametrize(
    "words",
    [
        {"outage_ratio": 0, "fail_ratio": "10%"},
        {"outage_ratio": "0%", "fail_ratio": "10%"},
        {"fail_ratio": "50%"},
        {"thresholds": "fail_ratio<60%"},
        {"thresholds": "fail_ratio{worst=10s}<=100%", "fail_ratio": "10%"},
    ],
)
def test_an_outage_is_allowed_where_it_was_allowed(words: dict[str, Any]) -> None:
    verdict = judge(ran(120, lambda second: 40 if second >= 110 else 0, **words))
    assert word(verdict) == ("PASS", 0)
    assert ALL_LATE in verdict.reasons


def test_a_lower_limit_finds_what_the_usual_one_passes() -> None:
    def failing(second: int) -> int:
        return 12 if 20 <= second < 30 else 0

    assert judge(ran(60, failing, fail_ratio="10%")).word == "PASS"
    assert judge(ran(60, failing, fail_ratio="10%", outage_ratio="30%")).word == "FAIL"


@pytest.mark.parametrize("seed", range(40))
def test_failures_at_random_are_no_outage_and_no_concentration(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  no secret
    record = ran(60 + seed, lambda _: sum(chance.random() < 0.08 for _ in range(20)), each=20, fail_ratio="20%")
    assert judge(record).word == "PASS"
    assert (outages(record, 0.5), concentration(record)) == ((), "")


def test_few_failures_by_chance_in_one_second_are_no_concentration() -> None:
    assert concentration(ran(60, lambda second: 4 if second == 30 else 0)) == ""


def test_a_burst_of_all_requests_is_no_concentration_of_failures() -> None:
    record = ran(60, lambda _: 0)
    counts = [400 if 30 <= second < 35 else 0 for second in range(60)]
    series = {**record.statistics["over_time"], "requests": counts, "failures": [count // 10 for count in counts]}
    burst = replace(record, statistics={"figures": {"requests": 2000}, "over_time": series})
    assert concentration(burst) == ""


def test_few_requests_are_no_outage() -> None:
    assert outages(ran(30, lambda second: int(second >= 20), each=1), 0.5) == ()


def moments(reported: Callable[[int], int], seconds: int) -> tuple[Moment, ...]:
    return tuple(
        Moment(
            START + timedelta(seconds=second),
            requests=40 * reported(second),
            failures=40 * max(0, reported(second) - 50),
        )
        for second in range(seconds + 1)
    )


def test_without_the_clocks_of_the_workers_the_masters_account_tells_within_a_reports_time() -> None:
    record = ran(
        60, lambda second: 40 if second >= 50 else 0, fail_ratio="20%", moments=moments(lambda at: at // 3 * 3, 60)
    )
    foreign = {**record.statistics["over_time"], "requests": [0] * 60, "failures": [0] * 60}
    record = replace(record, statistics={**record.statistics, "over_time": foreign})
    (found,) = outages(record, 0.5)
    assert found.ratio >= 0.8
    assert abs((found.since - START).total_seconds() - 50) <= 3


def test_a_run_of_an_older_version_is_judged_without_it() -> None:
    record = late(120, 10)
    assert judge(replace(record, statistics={"figures": record.figures})).word == "PASS"


@pytest.mark.parametrize(
    ("text", "figure", "note", "exit_code"),
    [
        ("fail_ratio{last=30s}<1%", "33.33%", "12:01:30 to 12:02:00 UTC", 3),
        ("fail_ratio{worst=10s}<1%", "100.00%", "12:01:50 to 12:02:00 UTC", 3),
        ("fail_ratio{worst = 1m}<20%", "16.67%", "12:01:00 to 12:02:00 UTC", 0),
        ("failures{last=20s}<=400", "400", "12:01:40 to 12:02:00 UTC", 1),
        ("rps{worst=10s}>=40", "40.0/s", "12:00:00 to 12:00:10 UTC", 1),
        ("requests{last=5}>100", "200", "12:01:55 to 12:02:00 UTC", 1),
    ],
)
def test_a_threshold_over_a_part_of_the_time(text: str, figure: str, note: str, exit_code: int) -> None:
    record = ran(120, lambda second: 40 if second >= 110 else 0, fail_ratio="10%", thresholds=text)
    verdict = judge(record)
    assert verdict.exit_code == exit_code
    metric, limit = text.partition("{")[0], "".join(text.split())
    assert verdict.thresholds[0].text == f"{metric} {figure}, from {note} (limit {limit})"


def test_a_window_that_nobody_counted_makes_the_run_invalid() -> None:
    record = ran(120, lambda _: 0, thresholds="fail_ratio{last=30s}<1%")
    verdict = judge(replace(record, statistics={"figures": record.figures}))
    assert (verdict.word, verdict.broken[0].kind) == ("INVALID", "few_samples")


@pytest.mark.parametrize(
    "text",
    [
        "fail_ratio{last=2h}<1%", "fail_ratio{last=x}<1%", "fail_ratio{last=0s}<1%", "p95{last=30s}<800",
        "fail_ratio{last=30s,name=/a}<1%", "fail_ratio{worst=10s,last=10s}<1%", "fail_ratio{first=10s}<1%",
    ],
)  # fmt: skip
def test_other_windows_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="last="):
        parse(text)


def goodbye(record: RunRecord, requests: int, failures: int, **further: Any) -> RunRecord:
    error = {"method": "POST", "name": "/logout", "error": "HTTPError('500')", "occurrences": failures}
    meter = {"requests": requests, "failures": failures, "errors": [error] if failures else [], **further}
    return replace(record, meters={"stopping": meter})


def test_what_came_after_the_end_is_said_and_its_failures_count_for_the_limit() -> None:
    record = ran(60, lambda _: 0)
    quiet = judge(goodbye(record, 20, 0))
    assert word(quiet) == ("PASS", 0)
    assert quiet.reasons[1] == "after the end: 20 requests; not counted in any rate or percentile"
    failed = judge(goodbye(record, 20, 6))
    assert word(failed) == ("FAIL", 1)
    failing = "6 failed (6 × POST /logout: HTTPError('500'))"
    said = f"after the end: 20 requests, {failing}; not counted in any rate or percentile"
    assert said in failed.reasons
    lenient = judge(goodbye(ran(60, lambda _: 0, fail_ratio="1%"), 20, 6))
    assert (word(lenient), said in lenient.reasons) == (("PASS", 0), True)


def test_goodbyes_that_were_cut_off_are_said() -> None:
    record = goodbye(ran(60, lambda _: 0), 0, 0, users_cut_off=20)
    record = replace(record, begin={**record.begin, "plan": {"run_time_seconds": 60, "stop_timeout_seconds": 10}})
    assert judge(record).reasons[-1] == "20 users were cut off in on_stop after 10 s: raise STOP_TIMEOUT"


def test_the_time_of_the_goodbye_does_not_hide_an_early_end() -> None:
    record = ran(10, lambda _: 0)
    end = {**record.end, "stopped_by": "Ctrl-C", "ended_by_timer": False}
    record = replace(record, end=end, begin={"plan": {"run_time_seconds": 20}})
    verdict = judge(record)
    assert (verdict.word, verdict.reasons[0]) == ("INVALID", "stopped by Ctrl-C after 10 s of 20 s")
    assert judge(replace(record, end={**end, "ended_by_timer": True})).word == "PASS"


def test_an_outage_that_goes_on_is_said_live() -> None:
    live = replace(ran(60, lambda _: 0, fail_ratio="20%"), is_running=True, groups={"recent_ratio": 0.8}, ended_at=None)
    live = replace(live, statistics={"figures": live.figures}, unknown=frozenset(Unknown))
    verdict = judge(live)
    assert (verdict.word, verdict.reasons) == (
        "FAIL",
        ("outage: at least 50% of the requests of the last 10 s failed",),
    )


def test_an_outage_beside_a_missed_threshold_exits_by_the_threshold() -> None:
    def half(_: int) -> int:
        return 20

    assert word(judge(ran(60, half, thresholds="fail_ratio<1% rps>1"))) == ("FAIL", 3)
    assert word(judge(ran(60, half, fail_ratio="10%", thresholds="requests>1"))) == ("FAIL", 1)


def test_requests_without_an_answer_are_failures_at_the_end_of_the_load() -> None:
    record = ran(60, lambda _: 0, each=2)
    assert outages(record, 0.5, 15) == ()
    (found,) = outages(record, 0.5, 25)
    assert (found.failures, found.clock) == (25, "12:00:59 to 12:01:00 UTC")
    assert concentration(record, 25).startswith("all 25 failures came in the last 1 s")


def test_a_goodbye_without_a_failure_is_within_any_limit() -> None:
    checks = judged_document(judge(goodbye(ran(60, lambda _: 20, fail_ratio="1%"), 20, 0)))["checks"]
    passed = {check["name"]: check["passed"] for check in checks}
    assert (passed["failed requests"], passed["requests after the end"]) == (False, True)
