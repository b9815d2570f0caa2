"""When loops that stood still make a run INVALID, and when that is a warning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sidecar.model.run_record import RunRecord, Unknown
from sidecar.report.document import make
from sidecar.report.verdict.judge import judge
from sidecar.report.verdict.reason import GeneratorLimits, Sustained
from sidecar.report.verdict.stalls import sustained, warnings
from tests.fakes.run_scene import LENGTH, clean

PLACE = "locustfile.py:23 log_in → hashlib.pbkdf2_hmac"


def stalled(
    stalls: dict[int, float], kind: str = "blocked", *, workers: int = 1, length: int = LENGTH, **changes: Any
) -> RunRecord:
    """A run in which loops stood still, each worker in turn: so many seconds, by the second of the run."""
    counted = dict.fromkeys(range(workers), 0.0)
    turn, moments = 0, []
    for second, moment in enumerate(clean().moments[: length + 1]):
        if second in stalls:
            counted[turn % workers] += stalls[second]
            turn += 1
        rows = {f"w-{number}": {f"{kind}_seconds": seconds} for number, seconds in counted.items() if seconds}
        moments.append(replace(moment, meters={"loop": {"by_worker": rows}}))
    tally = {
        "worker": "w-0",
        "observed_seconds": float(length),
        "count": len(stalls) // workers,
        "seconds": counted[0],
        "longest_ms": 1000 * max(stalls.values(), default=0.0),
        "places": [{"place": PLACE}, {"place": "other.py:1 f"}],
    }
    loop = {"worst": {kind: tally} if counted[0] else {}, "by_worker": moments[-1].meters["loop"]["by_worker"]}
    return clean(moments=tuple(moments), meters={"loop": loop}, **changes)


def every(step: int, seconds: float, since: int = 3, until: int = LENGTH) -> dict[int, float]:
    return dict.fromkeys(range(since, until, step), seconds)


OFTEN = every(3, 1.2)


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (stalled(OFTEN), ["generator_blocked"]),
        (stalled(every(5, 0.4)), ["generator_blocked"]),  # 8 %
        (stalled(every(10, 0.4)), []),  # 4 %
        (stalled({20: 2.0}), []),  # one pause, more than 5 % of half a minute
        (stalled({20: 6.0}), []),
        (stalled({20: 12.0}), ["generator_blocked"]),
        (stalled({20: 0.8, 40: 0.8}), []),
        (stalled(every(3, 0.5, 30, 45)), ["generator_blocked"]),  # in a quarter of the run: 4 % of all its time
        (stalled(every(3, 0.5), workers=5), []),  # each of the five 3 %
        (stalled(every(3, 1.8), "starved"), ["generator_starved"]),
        (stalled(OFTEN, "starved"), []),  # 40 %: other work on the machine
        (stalled(OFTEN, "busy"), []),  # GENERATOR_CPU is the limit of that
        (clean(), []),
    ],
)
def test_what_stands_still_too_long_is_named(record: RunRecord, found: list[str]) -> None:
    assert [reason.kind for reason in sustained(record, GeneratorLimits())] == found
    assert judge(record).word == ("INVALID" if found else "PASS")


def test_the_reason_says_how_often_how_long_where_and_since_when() -> None:
    (reason,) = judge(stalled(OFTEN)).broken
    assert reason.text == (
        f"a worker's loop was blocked 19 times, 22.8 s in total, 1200 ms at most, in {PLACE} and 1 other place, from "
        "01:02:04 UTC, for 55 s, 92% of the run: the response times of all its users are too long; run this call in "
        "gevent.get_hub().threadpool.apply(), or use a library that works with gevent"
    )


def test_less_is_a_warning_with_the_same_line_and_next_to_nothing_none() -> None:
    few = stalled(every(10, 0.4))
    (warning,) = make(few, "shop")["warnings"]
    assert warning.startswith(
        f"a worker's loop was blocked 6 times, 2.4 s in total, 400 ms at most, in {PLACE} and 1 oth"
    )
    assert list(warnings(stalled(OFTEN), GeneratorLimits())) == []
    assert list(warnings(stalled({20: 0.5}), GeneratorLimits())) == []
    (starved,) = warnings(stalled(every(3, 0.5), "starved"), GeneratorLimits())
    assert "waited for a CPU 19 times" in starved
    assert "WORKER_CPUS" in starved
    assert len(list(warnings(stalled(OFTEN, "busy"), GeneratorLimits()))) == 1


def test_the_limits_of_the_run_hold() -> None:
    record = stalled(every(5, 0.4))
    for limits in (
        GeneratorLimits(blocked_share=0.0),
        GeneratorLimits(blocked_share=0.1),
        GeneratorLimits(sustained=Sustained(70.0, 0.99)),
    ):
        assert not list(sustained(record, limits))
    words = {"judge": {"generator_blocked": "30%"}}
    assert judge(stalled(OFTEN, begin={**clean().begin, "judge": {"generator_blocked": "0"}})).word == "PASS"
    assert judge(stalled(OFTEN, begin={**clean().begin, **words})).criteria.limits.blocked_share == 0.3


@pytest.mark.parametrize(("stalls", "is_broken"), [(OFTEN, True), ({20: 6.0}, False), (every(10, 0.4), False)])
def test_a_view_without_the_seconds_judges_by_the_sum(stalls: dict[int, float], *, is_broken: bool) -> None:
    record = replace(stalled(stalls), moments=(), unknown=frozenset({Unknown.SECONDS}))
    assert [reason.kind for reason in judge(record).broken] == ["generator_blocked"] * is_broken


@pytest.mark.parametrize(
    "loop",
    [
        {"worst": 7, "by_worker": []},
        {"worst": {"blocked": {"seconds": "9", "places": 3}}, "by_worker": {"w": 1}},
        {"worst": {"blocked": {"seconds": float("nan"), "observed_seconds": float("inf")}}},
    ],
)
def test_a_document_of_another_form_breaks_nothing(loop: Any) -> None:
    record = clean(meters={"loop": loop}, moments=tuple(replace(one, meters={"loop": loop}) for one in clean().moments))
    assert judge(record).word == "PASS"
    assert make(record, "shop")["warnings"] == []
