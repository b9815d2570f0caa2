"""What a request target asks for: parsing only, no socket."""

from __future__ import annotations

from fractions import Fraction

import pytest
from mock_target.behaviours import OK, Answer, Echo, Hang, Reset, Stream, Truncate
from mock_target.plan import plan_for
from mock_target.routes import ROUTES, listing
from mock_target.share import OTHER, Turns, hits


@pytest.mark.parametrize(
    ("target", "name", "behaviour"),
    [
        ("/reset", "reset", Reset("nothing")),
        ("/reset?after=body", "reset", Reset("body")),
        ("/close", "close", Reset("nothing", is_rude=False)),
        ("/redirect?times=3", "redirect", Answer(302, location="/redirect?times=2")),
        ("/redirect", "redirect", Answer(302, location="/fast")),
        ("/hang", "hang", Hang("nothing")),
        ("/hang?after=body", "hang", Hang("body")),
        ("/truncate?bytes=20", "truncate", Truncate(20)),
        ("/large-data", "stream", Stream(5_000_000)),
        ("/large-data?mb=2", "stream", Stream(2_000_000)),
        ("/redirect-loop", "redirect", Answer(302, location="/redirect-loop?status=302")),
        ("/redirect-loop?status=308", "redirect", Answer(308, location="/redirect-loop?status=308")),
        ("/echo", "echo", Echo()),
        ("/echo/users/42?token=secret&token=again", "echo", Echo()),
    ],
)
def test_a_path_and_its_parameters_become_a_behaviour(target: str, name: str, behaviour: object) -> None:
    (act,) = plan_for(target).acts
    assert (act.name, act.behaviour) == (name, behaviour)


@pytest.mark.parametrize("status", range(400, 600))
def test_each_4xx_and_5xx_can_be_asked_for(status: int) -> None:
    behaviour = plan_for(f"/status/{status}").acts[0].behaviour
    assert isinstance(behaviour, Answer)
    assert behaviour.status == status


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("/slow?ms=soon", "ms is 'soon'; expected: a whole number from 0 to 600000"),
        ("/slow?ms=-1", "ms is '-1'; expected: a whole number from 0 to 600000"),
        ("/slow?ms=", "ms is ''; expected: a whole number from 0 to 600000"),
        ("/slow?ms=1&ms=2", "ms is given twice; expected: once"),
        ("/slow?ms=" + "9" * 5000, f"ms is '{'9' * 5000}'; expected: a whole number from 0 to 600000"),
        ("/slow?mss=1", "/slow has no parameter 'mss'; known: share, ms"),
        ("/large-data?mb=0", "mb is '0'; expected: a whole number from 1 to 1024"),
        ("/truncate?bytes=1", "bytes is '1'; expected: a whole number from 2 to 10000000"),
        ("/status/600", "status is '600'; expected: a number from 200 to 599, as in /status/503"),
        ("/status/abc", "status is 'abc'; expected: a number from 200 to 599, as in /status/503"),
        ("/wrong/way", "wrong is 'way'; expected: json or success or html or empty, as in /wrong/json"),
        ("/hang?after=lunch", "after is 'lunch'; expected: nothing or body"),
        ("/redirect-loop?status=200", "status is '200'; expected: 302 or 301 or 303 or 307 or 308"),
        ("/fast?share=0", "share is '0'; expected: a decimal number above 0 and up to 1, such as 0.1"),
        ("/fast?share=1.5", "share is '1.5'; expected: a decimal number above 0 and up to 1, such as 0.1"),
        ("/fast?share=1e-9", "share is '1e-9'; expected: a decimal number above 0 and up to 1, such as 0.1"),
        ("/fast?share=.", "share is '.'; expected: a decimal number above 0 and up to 1, such as 0.1"),
    ],
)
def test_a_bad_parameter_is_a_400_with_one_clear_line(target: str, line: str) -> None:
    (act,) = plan_for(target).acts
    assert act.name == "bad_request"
    assert act.behaviour == Answer(400, "text/plain", f"{line}\n".encode())


def test_an_unknown_path_is_a_404_that_says_where_the_list_is() -> None:
    (act,) = plan_for("/nowhere").acts
    assert act.name == "not_found"
    assert act.behaviour == Answer(404, "text/plain", b"path /nowhere does not exist; GET / lists all paths\n")


def test_an_endless_path_is_counted_by_its_beginning() -> None:
    assert plan_for("/" + "a" * 5000).path == "/" + "a" * 199


def test_an_absolute_target_is_taken_by_its_path() -> None:
    assert plan_for("http://mock-target:8080/status/418") == plan_for("/status/418")


def test_a_delay_is_given_in_milliseconds() -> None:
    assert plan_for("/slow").acts[0].delay_seconds == 1.0
    assert plan_for("/status/503?ms=250").acts[0].delay_seconds == 0.25


@pytest.mark.parametrize("share", ["0.1", "0.25", "0.333", "0.5", "0.999", "1", "0.01"])
def test_a_share_hits_exactly_so_many_and_never_drifts(share: str) -> None:
    exact = Fraction(share)
    seen = 0
    for index in range(1000):
        seen += hits(index, exact)
        assert seen == int((index + 1) * exact)


def test_the_requests_a_share_leaves_out_are_answered_at_once() -> None:
    plan = plan_for("/status/503?share=0.1&ms=500")
    acts = [plan.act(index) for index in range(20)]
    assert [act.name for act in acts] == (["ok"] * 9 + ["status"]) * 2
    assert acts[0] is OK


def test_might_fail_fails_the_third_and_slows_the_seventh_of_each_ten() -> None:
    plan = plan_for("/api/might-fail?ms=700")
    acts = [plan.act(index) for index in range(20)]
    once = ["ok", "ok", "status", "ok", "ok", "ok", "slow", "ok", "ok", "ok"]
    assert [act.name for act in acts] == once * 2
    assert acts[6].delay_seconds == 0.7


def test_might_fail_under_a_share_still_comes_to_its_failures() -> None:
    plan = plan_for("/api/might-fail?share=0.1")
    names = [plan.act(index).name for index in range(100)]
    assert (names.count("status"), names.count("slow")) == (1, 1)


def test_turns_beyond_the_limit_share_one_counter() -> None:
    turns = Turns(most_keys=2)
    assert [turns.take(key) for key in ("a", "b", "c", "d", "a", OTHER)] == [0, 0, 0, 1, 1, 2]


def test_the_listing_names_every_route() -> None:
    text = listing()
    assert all(route.usage in text and route.does in text for route in ROUTES)
    assert plan_for("/").acts[0].behaviour == Answer(200, "text/plain", text.encode())


def test_paths_of_peoples_own_locustfiles_take_whatever_they_add_to_the_query() -> None:
    assert plan_for("/api/health?user=ann&page=2").acts == plan_for("/api/health").acts
    (refused,) = plan_for("/slow?user=ann").acts
    assert refused.name == "bad_request"
