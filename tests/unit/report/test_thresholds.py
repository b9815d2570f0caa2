"""Thresholds: how they are written, what is refused, and what they say of a run's figures."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sidecar.model.run_record import RunRecord
from sidecar.model.threshold import parse
from sidecar.report.verdict.thresholds import Times, check, least_samples, spreads_of

KEYS = ("method", "name", "requests", "failures", "requests_per_second", "average_ms", "min_ms", "max_ms")
ROWS = tuple(
    dict(zip(KEYS, values, strict=True))
    for values in (
        ("GET", "/cart", 90, 9, 9.0, 100.0, 5.0, 900.0),
        ("POST", "/cart", 10, 0, 1.0, 200.0, 50.0, 300.0),
        ("GET", "/a, b", 100, 1, 10.0, 10.0, 1.0, 20.0),
    )
)


def times(*milliseconds: float) -> dict[str, int]:
    found: dict[str, int] = {}
    for millisecond in milliseconds:
        index = str(math.ceil(math.log(millisecond) / math.log(1.02)))
        found[index] = found.get(index, 0) + 1
    return found


def ran(*rows: dict[str, Any], **further: Any) -> RunRecord:
    """Return a run with these rows, and the row over all of them."""
    at = datetime(2026, 11, 22, 15, tzinfo=UTC)
    requests = sum(row["requests"] for row in rows)
    figures = {
        **{name: sum(row[name] for row in rows) for name in ("requests", "failures", "requests_per_second")},
        "average_ms": sum(row["average_ms"] * row["requests"] for row in rows) / requests if requests else None,
        "min_ms": min((row["min_ms"] for row in rows), default=None),
        "max_ms": max((row["max_ms"] for row in rows), default=None),
    }
    statistics = {"figures": figures, "endpoints": list(rows), **further.pop("statistics", {})}
    return RunRecord("run-1", at, ended_at=at + timedelta(seconds=10), statistics=statistics, **further)


def performance(good: dict[str, int], failed: dict[str, int] | None = None) -> dict[str, Any]:
    endpoint = {"method": "GET", "name": "/cart", "good": {"buckets": good}, "failed": {"buckets": failed or {}}}
    return {"gamma": 1.02, "endpoints": [endpoint]}


@pytest.mark.parametrize(
    ("text", "metric", "sign", "limit"),
    [
        ("p95<800", "p95", "<", 800),
        ("p(95)<800", "p95", "<", 800),
        ("p( 99.9 ) <= 2s", "p99.9", "<=", 2000),
        ("avg<300ms", "avg", "<", 300),
        ("mean < 0.3s", "avg", "<", 300),
        ("med<5", "p50", "<", 5),
        ("fail_ratio<1%", "fail_ratio", "<", 0.01),
        ("fail_ratio==0", "fail_ratio", "==", 0),
        ("http_req_failed<0.01", "fail_ratio", "<", 0.01),
        ("rps>50", "rps", ">", 50),
        ("rps>=50/s", "rps", ">=", 50),
        ("requests>1000", "requests", ">", 1000),
    ],
)
def test_a_threshold_is_read(text: str, metric: str, sign: str, limit: float) -> None:
    (one,) = parse(text)
    assert (one.metric, one.sign, one.tags, one.is_soft) == (metric, sign, (), False)
    assert one.limit == pytest.approx(limit)


def test_several_are_divided_by_blanks_commas_or_lines() -> None:
    found = parse("p95<800 fail_ratio<1%,rps>50\n# a comment\np99{name=/a, b, method=GET} < 2s  ?avg<300  # why")
    assert [one.text for one in found] == [
        "p95<800",
        "fail_ratio<1%",
        "rps>50",
        "p99{name=/a,b,method=GET}<2s",
        "?avg<300",
    ]
    assert found[3].tags == (("name", "/a, b"), ("method", "GET"))
    assert [one.is_soft for one in found] == [False] * 4 + [True]
    assert parse("") == parse("  # nothing\n") == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p95", "'p95' is not a threshold"),
        ("p95<", "'p95<' is not a threshold"),
        ("p95<800 fast", "'fast' is not a threshold"),
        ("p95<80 0x", "'0x' is not a threshold"),
        ("p0<5", "names 'p0'"),
        ("p100<5", "names 'p100'"),
        ("latency<5", "names 'latency'"),
        ("p95<1%", "a time such as"),
        ("fail_ratio<5", "up to 100%"),
        ("fail_ratio<1s", "a share such as"),
        ("rps>5%", "a number"),
        ("avg<1.2.3", "a time such as"),
        ("p95{path=/}<5", "tags name="),
        ("p95{name=}<5", "tags name="),
        ("avg{outcome=good}<5", "of a percentile"),
        ("p95{outcome=bad}<5", "outcome=good or outcome=failed"),
        ("p95=800", "is not a threshold"),
    ],
)
def test_what_is_none_is_refused_in_one_line(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=r".+") as refused:
        parse(text)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "actual", "passed"),
    [
        ("requests==200", 200, True),
        ("failures<10", 10, False),
        ("fail_ratio<=5%", 0.05, True),
        ("fail_ratio<5%", 0.05, False),
        ("fail_ratio{name=/cart}<10%", 0.09, True),
        ("rps>20", 20, False),
        ("rps{method=POST}>=1", 1, True),
        ("avg<61", 60, True),
        ("avg{name=/cart}<110", 110, False),
        ("max<1s", 900, True),
        ("min{method=POST}>50", 50, False),
        ("max{name=/a, b}<=20", 20, True),
        ("avg{name=/none}<1", None, False),
        ("requests{name=/none}<1", 0, True),
    ],
)
def test_what_a_threshold_says_of_the_rows(text: str, actual: float | None, passed: bool) -> None:  # noqa: FBT001
    (one,) = check(parse(text), ran(*ROWS))
    assert (one.actual, one.passed) == (actual if actual is None else pytest.approx(actual), passed)


def test_a_percentile_is_of_all_requests_or_of_one_outcome() -> None:
    record = ran(performance=performance(times(*[100.0] * 95), times(*[9000.0] * 5)))
    asked = parse("p95<105 p96<105 p95{outcome=failed}<1s p99{outcome=good}<105 p50{name=/none}<1")
    found = check(asked, record)
    assert [one.passed for one in found] == [True, False, False, True, False]
    assert [one.samples for one in found] == [100, 100, 5, 95, 0]
    assert found[0].actual == pytest.approx(100, rel=0.01)


def test_a_percentile_needs_so_many_samples_that_it_says_something() -> None:
    assert [least_samples(one) for one in (0.5, 0.95, 0.99, 0.999)] == [5, 59, 299, 2995]
    (few,) = check(parse("p99<1s"), ran(performance=performance(times(*[100.0] * 298))))
    (enough,) = check(parse("p99<1s"), ran(performance=performance(times(*[100.0] * 299))))
    assert (few.is_known, enough.is_known) == (False, True)
    assert few.text == "p99 100 ms from 298 requests; at least 299 are needed (limit p99<1s)"


def test_the_documents_of_a_run_are_read_and_an_older_plugins_has_no_percentiles() -> None:
    row = {"method": "GET", "name": "/", "requests": 5, "failures": 1, "requests_per_second": 2.5, "average_ms": 3.0}
    record = RunRecord("run-1", datetime.now(UTC), statistics={"figures": row, "endpoints": [row]})
    asked = parse("requests<9 failures<9 rps<9 avg<9 max<9 requests{method=GET,name=/}<9")
    assert [judged.actual for judged in check(asked, record)] == [5, 1, 2.5, 3.0, None, 5]
    assert [judged.actual for judged in check(asked, replace(record, statistics={}))] == [0, *[None] * 4, 0]
    assert spreads_of({"endpoints": [{"method": "GET", "name": "/", "good": {"count": 1}}]}) == ()
    assert Times(1.02).quantile(0.5) is None


ROW = {**dict.fromkeys(KEYS, 1.0), "method": "GET", "requests": 2, "failures": 0}
FEW = tuple({**ROW, "name": f"/{number}"} for number in range(3))
MANY = {"figures": {"requests": 1000, "failures": 500, "requests_per_second": 100.0}, "endpoints_left_out": 12_901}
CUT = "names without a row of their own: 12,901 of 12,904; the threshold cannot be judged"


@pytest.mark.parametrize(
    ("text", "actual", "unknown"),
    [
        ("fail_ratio<1%", 0.5, ""),
        ("rps>100", 100.0, ""),
        ("requests>9", 1000, ""),
        ("fail_ratio{name=/1}<1%", 0.0, ""),
        ("fail_ratio{name=/77}<1%", None, CUT),
        ("requests{name=/77}<1", 0.0, CUT),
        ("fail_ratio{method=GET}<1%", 0.0, CUT),
    ],
)
def test_names_without_a_row_leave_the_totals_whole_and_their_own_thresholds_unknown(
    text: str, actual: float | None, unknown: str
) -> None:
    (one,) = check(parse(text), ran(*FEW, statistics=MANY))
    assert (one.actual, one.unknown, one.is_known) == (actual, unknown, not unknown)
    assert one.text.endswith(unknown)
