"""Which incidents become messages, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sidecar.model.incident import FINAL, IncidentKind, Severity
from sidecar.notify.policy import (
    GAP_SECONDS,
    GATHER_SECONDS,
    MOST_KNOWN,
    MOST_LINES,
    MOST_PENDING,
    AlertPolicy,
    Message,
    Tone,
)
from tests.unit.notify.alerts import incident, later

COOLDOWN = 300.0


def new_policy(*kinds: IncidentKind) -> AlertPolicy:
    return AlertPolicy("locust", kinds or tuple(IncidentKind), COOLDOWN)


def drain(alert_policy: AlertPolicy, start: float, end: float) -> list[tuple[float, Message]]:
    """Every message between two moments, asked for each second."""
    seconds = range(int(start), int(end) + 1)
    return [(float(second), message) for second in seconds if (message := alert_policy.due(later(second)))]


def test_an_incident_is_told_after_a_moment_of_gathering() -> None:
    policy = new_policy()
    policy.take([incident()], later(0))
    assert policy.due(later(GATHER_SECONDS - 0.1)) is None
    message = policy.due(later(GATHER_SECONDS))
    assert message == Message(
        "[locust] 1 OOM kill",
        "15:04:05 UTC  OOM kill  locust-locust-worker-1: what happened, number 1",
        Tone.FAILURE,
    )
    assert policy.due(later(1000)) is None


def test_it_says_when_it_wants_to_be_asked_again() -> None:
    policy = new_policy()
    assert policy.next_at(later(0)) is None
    policy.take([incident()], later(0))
    assert policy.next_at(later(1)) == later(GATHER_SECONDS)
    assert policy.next_at(later(50)) == later(50)


def test_a_storm_is_one_message_with_the_count_and_the_first_lines() -> None:
    policy = new_policy()
    policy.take([incident(number, count=2) for number in range(40)], later(0))
    ((_, message),) = drain(policy, 0, 200)
    assert message.title == "[locust] 80 OOM kills"
    assert len(message.body.splitlines()) == MOST_LINES + 1
    assert message.body.endswith("… and 30 more")


def test_a_storm_of_many_services_does_not_send_more_often_than_the_gap() -> None:
    policy = new_policy()
    for second in range(60):
        policy.take([incident(second, service=f"s{second}")], later(second))
        policy.due(later(second))
    told = drain(policy, 60, 200)
    assert len(told) == 1
    quick = new_policy()
    times = []
    for second in range(60):
        quick.take([incident(second, service=f"s{second}")], later(second))
        times += [second] if quick.due(later(second)) else []
    assert times == [5, 15, 25, 35, 45, 55]
    assert GAP_SECONDS == 10


def test_a_later_revision_is_told_once_with_what_is_known_by_then() -> None:
    policy = new_policy()
    policy.take([incident(count=1)], later(0))
    policy.take([incident(count=16, state=FINAL, revision=2)], later(2))
    ((_, message),) = drain(policy, 2, 20)
    assert message.title == "[locust] 16 OOM kills"
    policy.take([incident(count=17, revision=3)], later(20))
    assert drain(policy, 20, 700) == []


def test_the_same_kind_of_a_service_stays_quiet_and_is_summed_up_afterwards() -> None:
    policy = new_policy()
    policy.take([incident(1)], later(0))
    drain(policy, 0, 5)
    policy.take([incident(2), incident(3)], later(10))
    policy.take([incident(4, service="locust-master")], later(10))
    first, second = drain(policy, 10, 700)
    assert first[1].title == "[locust] 1 OOM kill"
    assert "number 4" in first[1].body
    assert second[0] >= COOLDOWN
    assert second[1].title == "[locust] 2 OOM kills"


def test_another_kind_of_the_same_service_is_told_at_once() -> None:
    policy = new_policy()
    policy.take([incident(1)], later(0))
    drain(policy, 0, 5)
    policy.take([incident(1, IncidentKind.WORKER_LOST)], later(20))
    assert [message.title for _, message in drain(policy, 20, 30)] == ["[locust] 1 worker lost"]


def test_an_incident_of_no_service_is_kept_apart_by_its_container() -> None:
    policy = new_policy()
    policy.take([incident(1, service=None)], later(0))
    drain(policy, 0, 5)
    policy.take([incident(2, service=None)], later(20))
    assert len(drain(policy, 20, 40)) == 1


def test_the_end_of_what_was_told_is_told() -> None:
    policy = new_policy()
    high = incident(1, IncidentKind.MEMORY_HIGH, severity=Severity.WARN)
    policy.take([high], later(0))
    ((_, message),) = drain(policy, 0, 20)
    assert (message.title, message.tone) == ("[locust] 1 container near its memory limit", Tone.WARNING)
    policy.take([replace(high, until=later(30), revision=2)], later(30))
    ((_, message),) = drain(policy, 30, 60)
    assert message.title == "[locust] over: 1 container near its memory limit"
    assert message.body == "15:04:35 UTC  over  locust-locust-worker-1: what happened, number 1"
    assert message.tone is Tone.SUCCESS
    policy.take([replace(high, until=later(30), revision=3)], later(70))
    assert drain(policy, 70, 700) == []


def test_what_began_and_ended_before_anybody_was_told_has_no_second_message() -> None:
    policy = new_policy()
    high = incident(1, IncidentKind.MEMORY_HIGH)
    policy.take([high, replace(high, until=later(1))], later(1))
    assert len(drain(policy, 1, 700)) == 1


def test_what_began_and_ended_in_the_quiet_is_not_told_and_what_goes_on_is() -> None:
    policy = new_policy()
    policy.take([incident(1, IncidentKind.MEMORY_HIGH)], later(0))
    drain(policy, 0, 5)
    passed, lasting = incident(2, IncidentKind.MEMORY_HIGH), incident(3, IncidentKind.MEMORY_HIGH)
    policy.take([passed, lasting, replace(passed, until=later(20))], later(20))
    ((at, message),) = drain(policy, 20, 700)
    assert at >= COOLDOWN
    assert "number 3" in message.body
    assert "number 2" not in message.body
    policy.take([replace(lasting, until=later(701))], later(701))
    assert [message.title for _, message in drain(policy, 701, 750)] == [
        "[locust] over: 1 container near its memory limit"
    ]


def test_a_kill_has_no_end_that_is_told() -> None:
    policy = new_policy()
    policy.take([incident(1)], later(0))
    drain(policy, 0, 5)
    policy.take([incident(1, until=later(6), state=FINAL)], later(6))
    assert drain(policy, 6, 700) == []


def test_begun_and_over_share_a_message() -> None:
    policy = new_policy()
    high = incident(1, IncidentKind.MEMORY_HIGH)
    policy.take([high], later(0))
    drain(policy, 0, 20)
    policy.take([incident(2), replace(high, until=later(30))], later(30))
    ((_, message),) = drain(policy, 30, 60)
    assert message.title == "[locust] 1 OOM kill; over: 1 container near its memory limit"
    assert message.tone is Tone.FAILURE


def test_kinds_that_are_not_asked_for_and_our_own_probes_are_left_out() -> None:
    policy = new_policy(IncidentKind.WORKER_LOST)
    policy.take([incident(1), incident(2, IncidentKind.WORKER_LOST, helper=True)], later(0))
    assert drain(policy, 0, 700) == []


def test_what_an_earlier_sidecar_recorded_is_not_told_again_but_its_end_is() -> None:
    policy = new_policy()
    high = incident(2, IncidentKind.MEMORY_HIGH)
    policy.restore([incident(1), high])
    policy.take([incident(1, revision=2), high, replace(high, until=later(5))], later(5))
    assert [message.title for _, message in drain(policy, 5, 700)] == [
        "[locust] over: 1 container near its memory limit"
    ]


def test_memory_is_bounded_and_what_does_not_fit_is_counted() -> None:
    policy = new_policy()
    policy.take([incident(number, service=f"s{number}") for number in range(MOST_PENDING + 5)], later(0))
    assert policy.dropped == 5
    ((_, message),) = drain(policy, 0, 20)
    assert message.title == f"[locust] {MOST_PENDING} OOM kills"
    policy.restore(incident(number) for number in range(MOST_KNOWN * 2))
    assert len(policy._known) == MOST_KNOWN


@pytest.mark.parametrize("kind", list(IncidentKind))
def test_each_kind_has_words_for_one_and_for_many(kind: IncidentKind) -> None:
    for count in (1, 2):
        policy = new_policy()
        policy.take([incident(number, kind) for number in range(count)], later(0))
        message = policy.due(later(GATHER_SECONDS))
        assert message is not None
        assert message.title.startswith(f"[locust] {count} ")


def test_a_long_text_is_cut() -> None:
    policy = new_policy()
    policy.take([incident(1, text="x" * 10_000)], later(0))
    message = policy.due(later(0) + timedelta(seconds=GATHER_SECONDS))
    assert message is not None
    assert len(message.body) < 500
