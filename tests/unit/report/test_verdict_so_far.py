"""What a run is worth so far."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sidecar.model.incident import ExitReason, Incident, IncidentKind, Severity
from sidecar.model.observation import PluginStatus
from sidecar.model.snapshot import EndpointStats, Locust, RunStatus
from sidecar.report.verdict.judge import live_record, so_far
from tests.fakes import sidecar_samples as samples

RUN = PluginStatus(RunStatus("run-1", "running", samples.NOW))
TOTAL = EndpointStats("", "Aggregated", 100, 0, 5.0, 20.0, average_ms=12.0, least_ms=1.0, most_ms=900.0)
LOCUST = Locust("running", 10, 5.0, 0.0, 0.0, 10.0, 20.0, 2, 2, total=TOTAL)


def incident(
    kind: IncidentKind, seconds: float = 5.0, service: str | None = "locust-worker", **further: object
) -> Incident:
    at = samples.NOW + timedelta(seconds=seconds)
    made = Incident(f"{kind}{seconds}", kind, Severity.ERROR, at, f"{kind} at {seconds}", service=service)
    return replace(made, **further)  # type: ignore[arg-type]


def failed(count: int) -> Locust:
    return replace(LOCUST, fail_ratio=count / 100, total=replace(TOTAL, failures=count))


def test_a_clean_run_passes() -> None:
    verdict = so_far(RUN, LOCUST, [], 0.0)
    assert verdict is not None
    assert (verdict.word, verdict.reasons) == ("PASS", ())


def test_code_that_holds_a_workers_loop_is_told_while_it_does() -> None:
    worst = {"observed_seconds": 20.0, "count": 12, "seconds": 4.8, "longest_ms": 410}
    blocked = replace(RUN, meters={"loop": {"worst": {"blocked": worst | {"places": [{"place": "users.py:7 buy"}]}}}})
    verdict = so_far(blocked, LOCUST, [], 0.0)
    assert verdict is not None
    assert verdict.word == "INVALID"
    assert "blocked 12 times, 4.8 s in total, 410 ms at most, in users.py:7 buy" in verdict.reasons[0]
    less = {"loop": {"worst": {"blocked": worst | {"count": 1, "seconds": 1.2, "longest_ms": 1200}}}}
    verdict = so_far(replace(RUN, meters=less), LOCUST, [], 0.0)
    assert verdict is not None
    assert verdict.word == "PASS"


def test_before_the_first_request_there_is_no_verdict() -> None:
    assert so_far(RUN, replace(LOCUST, total=None), [], 0.0) is None
    assert so_far(None, LOCUST, [], 0.0) is None
    assert so_far(RUN, None, [], 0.0) is None


def test_failures_beyond_the_limit_fail_it() -> None:
    failing = failed(2)
    assert so_far(RUN, failing, [], 0.05) == so_far(RUN, LOCUST, [], 0.05)
    verdict = so_far(RUN, failing, [], 0.01)
    assert verdict is not None
    assert (verdict.word, verdict.reasons) == ("FAIL", ("2.00% of the requests failed, the limit is 1.00%",))


@pytest.mark.parametrize(
    "made",
    [
        incident(IncidentKind.OOM_KILL),
        incident(IncidentKind.RESTART, reason=ExitReason.CRASHED),
        incident(IncidentKind.WORKER_LOST),
        incident(IncidentKind.MASTER_RESTART, service="locust-master"),
        incident(IncidentKind.BLIND, service=None),
    ],
)
def test_a_broken_generator_makes_it_invalid_even_when_it_fails_too(made: Incident) -> None:
    verdict = so_far(RUN, failed(100), [made], 0.0)
    assert verdict is not None
    assert (verdict.word, verdict.reasons) == ("INVALID", (made.text,))


@pytest.mark.parametrize(
    "made",
    [
        incident(IncidentKind.OOM_KILL, seconds=-5),
        incident(IncidentKind.OOM_KILL, service="shop-db"),
        incident(IncidentKind.OOM_KILL, count=0),
        incident(IncidentKind.OOM_KILL, helper=True),
        incident(IncidentKind.EXIT, reason=ExitReason.STOPPED),
        incident(IncidentKind.WORKER_LEFT),
        incident(IncidentKind.BLIND, service=None, severity=Severity.INFO),
        incident(IncidentKind.THROTTLED),
    ],
)
def test_what_is_not_the_runs_own_misfortune_leaves_it_alone(made: Incident) -> None:
    verdict = so_far(RUN, LOCUST, [made], 0.0)
    assert verdict is not None
    assert verdict.word == "PASS"


def test_consequences_stand_behind_their_cause_and_the_gravest_is_first() -> None:
    kill = incident(IncidentKind.OOM_KILL, seconds=6)
    restart = incident(IncidentKind.RESTART, seconds=7, cause=kill.id)
    master = incident(IncidentKind.MASTER_RESTART, seconds=9, service="locust-master")
    verdict = so_far(RUN, LOCUST, [master, restart, kill], 0.0)
    assert verdict is not None
    assert verdict.reasons == (master.text, kill.text)


@pytest.mark.parametrize(
    ("judge", "failures", "word", "reasons"),
    [
        ({"thresholds": "fail_ratio<20%", "fail_ratio_limit": None}, 5, "PASS", ()),
        ({"thresholds": "fail_ratio<20%"}, 30, "FAIL", ("fail_ratio 30.00% (limit fail_ratio<20%)",)),
        ({"fail_ratio": "10%"}, 5, "PASS", ()),
        ({"fail_ratio": "10%"}, 30, "FAIL", ("30.00% of the requests failed, the limit is 10.00%",)),
        ({"thresholds": "max<800 rps>50 p95<5 avg{name=/a}<1"}, 0, "FAIL", ("max 900 ms (limit max<800)",)),
        ({"thresholds": "rps>50 requests>1000 p95<5 avg{name=/a}<1"}, 0, "PASS", ()),
    ],
)
def test_the_criteria_are_those_of_the_run_and_not_of_the_monitor(
    judge: dict[str, object], failures: int, word: str, reasons: tuple[str, ...]
) -> None:
    verdict = so_far(replace(RUN, judge=judge), failed(failures), [], 0.0)
    assert verdict is not None
    assert (verdict.word, verdict.reasons) == (word, reasons)


def test_the_plugins_account_of_the_failures_is_judged_as_it_goes_on() -> None:
    groups = [{"class": "generator", "detail": "EMFILE", "message": "too many", "count": 3}]
    verdict = so_far(replace(RUN, failure_groups={"classes": {"generator": 3}, "groups": groups}), LOCUST, [], 1.0)
    assert verdict is not None
    assert verdict.word == "INVALID"
    assert "3 requests failed because of a limit of the load machine (EMFILE)" in verdict.reasons[0]


def test_the_record_of_a_live_run_has_what_the_workers_measured() -> None:
    record = live_record(replace(RUN, meters={"tasks": {"errors": 3}}), LOCUST, [], 0.0)
    assert record.meters == {"tasks": {"errors": 3}}


def test_what_came_after_the_end_counts_once() -> None:
    total = replace(TOTAL, requests=1000, failures=8)
    after = {"requests": 10, "failures": 8, "endpoints": [], "errors": []}
    ending = replace(RUN, meters={"stopping": after})
    record = live_record(ending, replace(LOCUST, total=total), [], 0.01)
    assert (record.figures["requests"], record.figures["failures"]) == (990, 0)
    verdict = so_far(ending, replace(LOCUST, total=total), [], 0.01)
    assert verdict is not None
    assert verdict.word == "PASS"


def test_a_live_failure_never_goes_without_its_reason() -> None:
    error = {"method": "POST", "name": "/logout", "error": "500", "occurrences": 20}
    after = {"requests": 20, "failures": 20, "endpoints": [], "errors": [error]}
    whole = replace(LOCUST, total=replace(TOTAL, requests=1000, failures=20))
    verdict = so_far(replace(RUN, meters={"stopping": after}), whole, [], 0.01)
    assert verdict is not None
    said = "after the end: 20 requests, 20 failed (20 × POST /logout: 500); not counted in any rate or percentile"
    assert (verdict.word, verdict.reasons) == ("FAIL", (said,))
