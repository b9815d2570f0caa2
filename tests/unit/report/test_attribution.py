"""Whose failures they are: an incident's, the target's, the load machine's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sidecar.common.times import parse_time
from sidecar.model.incident import IncidentKind
from sidecar.model.run_record import Moment
from sidecar.report.document import timeline
from sidecar.report.verdict.attribution import LIKELY, NONE, POSSIBLE, UNLIKELY, attribute, failures_at, gist
from tests.fakes.run_scene import LENGTH, after, incident, moment


def failing(*rates: tuple[int, int, int]) -> tuple[Moment, ...]:
    """Moments of a run of 300 s, with (from, to, failures a second)."""
    total, found = 0, []
    for second in range(301):
        total += sum(count for since, until, count in rates if since <= second < until)
        found.append(moment(second, failures=total, classes={"server_error": total}))
    return tuple(found)


@pytest.mark.parametrize(
    ("rates", "confidence", "near"),
    [
        ([], NONE, 0),
        ([(148, 156, 10)], LIKELY, 80),
        ([(0, 301, 1)], UNLIKELY, 20),
        ([(148, 156, 10), (200, 260, 2)], POSSIBLE, 80),
        ([(200, 260, 2)], UNLIKELY, 0),
    ],
)
def test_failures_near_an_incident_against_the_time_that_is_near_it(
    rates: list[tuple[int, int, int]], confidence: str, near: int
) -> None:
    found = attribute(incident(IncidentKind.OOM_KILL, 150), failing(*rates), after(300))
    assert found is not None
    assert (found.confidence, found.near) == (confidence, near)
    assert found.time_share == pytest.approx(20 / 300)


def test_rates_before_and_after_are_those_outside_of_it() -> None:
    found = attribute(
        incident(IncidentKind.OOM_KILL, 150), failing((0, 60, 1), (148, 150, 5), (200, 260, 2)), after(300)
    )
    assert found is not None
    assert found.before_per_minute == pytest.approx(60 * 60 / 140, abs=0.1)
    assert found.after_per_minute == pytest.approx(60 * 120 / 140, abs=0.1)


def test_without_a_timeline_nothing_is_said() -> None:
    assert attribute(incident(IncidentKind.OOM_KILL), (), after(60)) is None


def test_one_sentence_tells_a_failing_target_from_failing_generators() -> None:
    lost = attribute(incident(IncidentKind.OOM_KILL, 150), failing((148, 156, 10)), after(300))
    spread = attribute(incident(IncidentKind.OOM_KILL, 150), failing((0, 301, 1)), after(300))
    assert lost
    assert spread
    assert gist(0, [], incidents=0, of_generator=0) == "No request failed."
    assert gist(80, [], incidents=0, of_generator=0).startswith("The workers and the master were fine")
    own = gist(80, [], incidents=0, of_generator=80)
    assert own.startswith("80 of 80 failures come from limits of the load machine")
    assert "say little about the target" in gist(80, [lost], incidents=1, of_generator=0)
    assert "the target or the network is" in gist(300, [spread], incidents=1, of_generator=0)


def test_a_reset_of_the_statistics_loses_no_failure() -> None:
    reset = (moment(0, failures=0), moment(1, failures=5), moment(2, failures=1), moment(3, failures=2))
    assert failures_at(reset, after(3)) == 7
    assert failures_at(reset, after(1)) == 5


def test_a_long_run_is_drawn_in_few_steps_and_every_failure_is_in_one() -> None:
    moments = failing((10, 200, 3))
    line = timeline(moments, 50)
    assert len(line["at"]) <= 50
    assert line["step_seconds"] == 7
    assert sum(line["failures"]["server_error"]) == 570
    assert parse_time(line["at"][1]) - parse_time(line["at"][0]) == timedelta(seconds=7)
    assert max(value or 0 for value in line["users"]) == 50
    assert timeline((), 50)["at"] == []
    assert len(timeline(moments[: LENGTH + 1], 300)["at"]) == LENGTH + 1


@pytest.mark.parametrize(("incidents", "watched"), [(0, True), (1, True), (0, False)])
def test_limits_of_the_load_machine_are_never_nothing(incidents: int, watched: bool) -> None:  # noqa: FBT001
    text = gist(100, (), incidents=incidents, of_generator=3, watched=watched)
    assert text.startswith("3 of 100 failures come from limits of the load machine, not from the target. ")
    assert "were fine" not in text
    assert gist(100, (), incidents=0, of_generator=0).startswith(
        "The workers and the master were fine: the 100 failures"
    )
