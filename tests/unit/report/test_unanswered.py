"""Requests that never got an answer, and answers that were never reported: what Locust's figures leave out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sidecar.model.run_record import RunRecord
from sidecar.report.document import make
from sidecar.report.render import html, templates
from sidecar.report.verdict import account, unanswered
from sidecar.report.verdict.judge import judge
from tests.fakes.run_scene import clean, moment

CHECKOUT = {"method": "POST", "name": "/checkout", "cut": 10, "cut_waited": [[3, 2], [28, 7], [29, 1]]}


def times(name: str, seconds: float, count: int = 100, method: str = "POST") -> dict[str, Any]:
    """performance.json with one endpoint whose good requests all took that long."""
    bucket = next(index for index in range(2000) if 1.02**index >= 1000 * seconds)
    row = {"method": method, "name": name, "good": {"buckets": {str(bucket): count}}}
    return {"gamma": 1.02, "endpoints": [row]}


def run(*rows: dict[str, Any], words: dict[str, Any] | None = None, **changes: Any) -> RunRecord:
    """A run of 10 good requests with this account of the others."""
    account = {"endpoints": list(rows), "cut": sum(row.get("cut", 0) for row in rows)}
    figures = {"requests": 10, "failures": 0, "requests_per_second": 0.3}
    usual = clean(
        begin={**clean().begin, "judge": words or {}},
        end={"requests": 10, "failures": 0, "most_users": 50},
        statistics={"figures": figures, "endpoints": [{"method": "GET", "name": "/fast", **figures}]},
        meters={"requests": account},
    )
    return replace(usual, **changes)


def test_what_waited_too_long_counts_as_failed_and_is_shown_apart() -> None:
    verdict = judge(run(CHECKOUT))
    assert (verdict.word, verdict.exit_code) == ("FAIL", 1)
    assert verdict.reasons == (
        "44.44% of 18 requests failed, 8 of them without an answer, the limit is 0.00%",
        "8 requests of POST /checkout were never answered, the oldest waited 29 s",
    )


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ({"stuck_seconds": 0}, "PASS"),
        ({"stuck_seconds": "29"}, "FAIL"),
        ({"stuck_seconds": 30}, "PASS"),
        ({"fail_ratio_limit": 0.5}, "PASS"),
        ({"fail_ratio_limit": None, "thresholds": "fail_ratio<50%"}, "PASS"),
        ({"fail_ratio_limit": None, "thresholds": "fail_ratio<40%"}, "FAIL"),
        ({"fail_ratio_limit": 1, "thresholds": "failures<8"}, "FAIL"),
        ({"fail_ratio_limit": 1, "thresholds": "failures{name=/checkout}<8"}, "FAIL"),
        ({"fail_ratio_limit": 1, "thresholds": "failures{name=/fast}<1"}, "PASS"),
        ({"fail_ratio_limit": 1, "thresholds": "requests<=10"}, "PASS"),
    ],
)
def test_the_limits_hold_for_it(words: dict[str, Any], word: str) -> None:
    assert judge(run(CHECKOUT, words=words)).word == word


@pytest.mark.parametrize(("usual_seconds", "count"), [(0.1, 8), (9.0, 8), (9.5, 1), (12.0, 0)])
def test_three_times_what_the_endpoint_usually_takes_is_not_too_long(usual_seconds: float, count: int) -> None:
    found = unanswered.unanswered(run(CHECKOUT, performance=times("/checkout", usual_seconds)), 10)
    assert unanswered.total(found) == count


def test_what_still_waited_when_its_worker_was_last_heard_of_counts_and_a_run_under_way_has_none() -> None:
    row = {"method": "GET", "name": "/a", "in_flight": 2, "waiting": [[4, 1], [15, 1]]}
    assert judge(run(row)).reasons[1:] == ("1 request of GET /a was never answered, it waited 15 s",)
    assert not unanswered.unanswered(run(row, ended_at=None, is_running=True), 10)


def test_what_the_test_itself_gave_up_is_never_answered_however_soon() -> None:
    row = {"method": "GET", "name": "/a", "given_up": 3, "given_up_waited": [[2, 3]]}
    assert judge(run(row)).reasons[1:] == (
        "3 requests of GET /a were never answered, the oldest waited 2 s; the test's own code gave up 3 of them",
    )


def test_many_names_are_told_in_four_lines() -> None:
    rows = [{**CHECKOUT, "name": f"/{number}"} for number in range(9)]
    assert judge(run(*rows)).reasons[-1] == "48 requests of 6 other names were never answered"


def test_without_any_answer_the_run_is_not_one_without_requests() -> None:
    none = {"end": {"requests": 0, "failures": 0, "most_users": 50}, "statistics": {}}
    assert judge(run(CHECKOUT, **none)).word == "FAIL"
    soon = run({**CHECKOUT, "cut_waited": [[3, 10]]}, **none)
    assert judge(soon).reasons == ("no request was answered: 10 were still waiting when the run ended",)


def test_unreported_answers_are_named_with_their_lines() -> None:
    account = {"unreported": 721, "sites": [place(22, 121), place(14, 600), place(3, 0, "lib/shop.py")]}
    verdict = judge(run(meters={"requests": account}))
    assert (verdict.word, verdict.exit_code) == ("INVALID", 4)
    assert verdict.reasons[0] == (
        "721 answers were never reported: catch_response=True without `with` at "
        "locustfile.py:14 (600), :22 (121), lib/shop.py:3 (0)"
    )
    nothing = {"end": {"requests": 0, "failures": 0, "most_users": 50}, "statistics": {}}
    assert judge(run(meters={"requests": account}, **nothing)).reasons == verdict.reasons[:1]
    going = judge(run(meters={"requests": account}, is_running=True, ended_at=None)).reasons[0]
    assert (
        going
        == "answers were never reported: catch_response=True without `with` at locustfile.py:22, :14, lib/shop.py:3"
    )


def place(line: int, count: int, file: str = "locustfile.py") -> dict[str, Any]:
    return {"place": f"{file}:{line}", "count": count}


def stuck(since: int, until: int, wait: int = 100, users: int = 50, **changes: Any) -> RunRecord:
    """A run in which no request finished from one second to another; the oldest of POST /checkout waited all along."""
    moments = []
    for second in range(61):
        halted = since <= second < until
        waited = min(second - since, wait) if halted else 0
        long = [["POST", "/checkout", 9, waited]] if waited >= 5 else []
        requests = 100 * (since if halted else second)
        account = {"in_flight": 9, "long": long}
        moments.append(moment(second, requests=requests, users=users, meters={"requests": account}))
    return clean(moments=tuple(moments), **changes)


def test_a_span_without_a_finished_request_is_a_failure() -> None:
    verdict = judge(stuck(20, 40))
    assert (verdict.word, verdict.exit_code) == ("FAIL", 1)
    assert verdict.reasons == (
        "no request finished for 19 s, from 01:02:23 UTC, with 50 users running: POST /checkout had waited 19 s",
    )


@pytest.mark.parametrize(
    "record",
    [
        stuck(20, 30),
        stuck(20, 40, users=0),
        stuck(20, 40, performance=times("/checkout", 12.0)),
        stuck(20, 40, wait=4),  # each waits for a moment only: nothing hangs
        stuck(20, 40, begin={**clean().begin, "judge": {"stuck_seconds": 0}}),
        clean(moments=tuple(moment(second, requests=7) for second in range(61))),  # nobody knows what is on its way
        clean(
            moments=tuple(
                moment(second, requests=7, meters={"requests": {"in_flight": second % 2}}) for second in range(61)
            )
        ),
    ],
)
def test_a_quiet_test_and_one_that_is_always_slow_are_not_stuck(record: RunRecord) -> None:
    assert judge(record).word == "PASS"


def accounted(record: RunRecord) -> dict[str, Any]:
    made = account.account(record, judge(record).unanswered)
    assert made is not None
    assert made["sent"] == sum(made[kind] for kind in account.KINDS)
    return made


def test_all_that_was_sent_is_accounted_for() -> None:
    lost = {"method": "GET", "name": "/a", "in_flight": 3, "waiting": [[1, 2], [40, 1]], "redirects": 4}
    own = {"method": "GET", "name": "/b", "given_up": 2, "given_up_waited": [[2, 2]], "unreported": 5, "left": 1}
    meter = {"reported": 90, "held": 1, "retries": 7, "endpoints": [CHECKOUT, lost, own], "workers": {}}
    made = accounted(run(meters={"requests": meter}))
    assert made["text"] == (
        "112 requests sent = 90 reported to Locust + 5 never reported + 2 left their `with` block without a report + "
        "11 never answered + 2 cut off when their user stopped + 2 still waiting at the last report; "
        "in addition 4 redirects, 7 retries"
    )
    assert [(row["name"], row["unanswered"], row["cut"], row["in_flight"]) for row in made["endpoints"]] == [
        ("/checkout", 8, 2, 0),
        ("/a", 1, 0, 2),
        ("/b", 2, 0, 0),
    ]
    off = accounted(run(meters={"requests": meter}, words={"stuck_seconds": 0}))
    assert (off["sent"], off["unanswered"], off["cut"], off["in_flight"]) == (112, 0, 12, 3)


def test_a_lost_worker_is_named_with_what_it_may_have_sent_after_its_last_report() -> None:
    lost = tuple(replace(moment(second), missing=("w-1",) if second > 30 else ()) for second in range(61))
    workers = {"w-1": {"sent": 100, "per_second": 23}, "w-2": {"sent": 90, "per_second": 22}}
    record = run(meters={"requests": {"endpoints": [], "workers": workers}}, moments=lost)
    assert list(account.warnings(record)) == [
        "worker w-1 was lost: its requests after its last report are not counted (up to 3 s, about 69 requests)"
    ]
    assert accounted(record)["lost"] == [{"worker": "w-1", "requests": 69}]
    early = replace(record, meters={"requests": {"endpoints": [], "workers": {}, "reported": 90}})
    assert list(account.warnings(early)) == [
        "worker w-1 was lost: its requests before its first report are not counted (up to 3 s)"
    ]


def test_a_run_of_an_older_version_has_no_account() -> None:
    record = clean()
    assert account.account(record, ()) is None
    assert make(record, "shop")["account"] is None


def test_the_account_is_in_each_report() -> None:
    document = make(run({**CHECKOUT, "redirects": 3}, statistics={}), "shop")
    assert "| POST /checkout | 8 | 29 s | 0 | 0 | 2 | 3 | 0 | 0 |" in templates.markdown(document)
    assert "10 requests sent = 0 reported to Locust + 8 never answered" in templates.junit(document).decode()
    page = html.render(document)
    assert "POST /checkout</td>" in page
    assert "29 s" in page


def test_more_requests_after_the_end_than_were_followed_leave_no_count_below_zero() -> None:
    meters = {"requests": {"reported": 10, "endpoints": []}, "stopping": {"requests": 15}}
    made = accounted(run(meters=meters))
    assert (made["sent"], made["reported"], made["after_the_end"]) == (10, 0, 10)
