"""Users that were not there, exceptions in their code, and rates that were not kept, as the judge sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from sidecar.common.times import format_time
from sidecar.model.run_record import Moment, RunRecord
from sidecar.report import document
from sidecar.report.render import templates
from sidecar.report.verdict.judge import judge, so_far
from tests.fakes.run_scene import LENGTH, after, clean, moment
from tests.unit.report.test_verdict_so_far import LOCUST, RUN

INIT = {
    "name": "Buyer.__init__", "kind": "init", "type": "IndexError", "text": "pop from empty list",
    "line": "shop.py:10", "count": 2,
}  # fmt: skip
START = {
    "name": "Sleeper.on_start", "kind": "on_start", "type": "KeyError", "text": "'token'",
    "line": "shop.py:6", "count": 50,
}  # fmt: skip
BUY = {
    "name": "Buyer.buy", "kind": "task", "type": "KeyError", "text": "'in_stock'", "line": "shop.py:11", "count": 254,
}  # fmt: skip
QUIT = {"name": "Visitor", "kind": "runner", "type": "runner.quit()", "text": "", "line": "shop.py:12", "count": 2}
NOTHING: dict[str, Any] = {"task_runs": 1000, "task_errors": 0, "errors": [], "tasks": {}, "classes": {}, "workers": 2}


def ran(users: Mapping[str, Any], moments: Callable[[int], Moment] = moment, **changes: Any) -> RunRecord:
    """A run of a minute whose workers have a meter of users."""
    seconds = tuple(
        replace(made, meters={"users": {"not_made": 0, **made.meters.get("users", {})}, **made.meters})
        for made in map(moments, range(LENGTH + 1))
    )
    return clean(meters={"users": {**NOTHING, **users}}, moments=seconds, **changes)


def users_at(here: Callable[[int], int], **meter: int) -> Callable[[int], Moment]:
    """Moments with so many users at a second."""
    return lambda second: moment(second, users=here(second), meters={"users": meter})


def kinds(record: RunRecord) -> list[str]:
    return [reason.kind for reason in judge(record).broken]


def test_a_run_with_all_its_users_passes_and_says_nothing_of_them() -> None:
    verdict = judge(ran({}))
    assert (verdict.word, verdict.reasons) == ("PASS", ("0.00% of 6000 requests failed, the limit is 0.00%",))


def test_users_that_could_not_be_made_are_short_with_the_exception_and_its_line() -> None:
    (reason,) = judge(ran({"errors": [INIT]}, users_at(lambda second: min(20, 10 * second), not_made=30))).broken
    assert reason.kind == "users_short"
    assert reason.text.startswith("only 20 of 50 users were running, from 01:02:")
    cause = "; Buyer.__init__ raised IndexError: pop from empty list (shop.py:10): 30 users could not be made"
    assert reason.text.endswith(cause)


def test_users_that_could_not_be_made_are_short_in_a_run_of_a_few_seconds_too() -> None:
    def four(second: int) -> Moment:
        return moment(second, users=4, target_users=8, meters={"users": {"not_made": 4}})

    few = tuple(four(second) for second in range(5))
    meters = {"users": {**NOTHING, "errors": [INIT]}}
    (reason,) = judge(clean(meters=meters, moments=few, ended_at=after(5), last_sign_at=after(5))).broken[:1]
    cause = "Buyer.__init__ raised IndexError: pop from empty list (shop.py:10): 4 users could not be made"
    assert reason.text == f"only 4 of 8 users were running at the end; {cause}"


def test_a_run_without_a_user_and_a_request_names_the_exception_for_both() -> None:
    statistics = {"figures": {"requests": 0}}
    record = ran({"errors": [INIT]}, users_at(lambda _: 0, not_made=50), statistics=statistics, end={"requests": 0})
    short, none = judge(record).reasons
    assert short.startswith("no user was running for 60 of 60 s; Buyer.__init__ raised IndexError")
    assert none.endswith("; the users' code raised 2 × IndexError: pop from empty list (shop.py:10), in Buyer.__init__")


def test_an_exception_is_told_as_it_was_said() -> None:
    said = "'utf-8' codec can't decode byte 0xe9 in position 3"
    masked = {"type": "UnicodeDecodeError", "text": "'utf-8' codec can't decode byte <address> in position <n>"}
    record = ran(
        {"errors": [{**START, **masked, "example": said}], "task_errors": 50}, users_at(lambda _: 0, died_now=50)
    )
    assert f"Sleeper.on_start raised UnicodeDecodeError: {said} (shop.py:6)" in judge(record).reasons[0]
    group = {"class": "task_error", "name": "Buyer.buy", "detail": "KeyError", "message": "<n>", "count": 5}
    groups = {"task_errors": 5, "groups": [{**group, "examples": [{"message": "17\n of x"}]}]}
    asked = {"judge": {"task_error_ratio_limit": 0.0}}
    assert judge(clean(groups=groups, begin=asked)).reasons[0] == "5 × Buyer.buy raised KeyError: 17 of x"


def test_users_that_all_die_at_once_were_not_there_for_nearly_the_whole_run() -> None:
    dead = users_at(lambda second: 50 if second == 1 else 0, died_now=50)
    record = ran({"errors": [START], "task_errors": 50, "task_runs": 0}, dead)
    (reason,) = judge(record).broken
    cause = "50 of 50 users ended in on_start: Sleeper.on_start raised KeyError: 'token' (shop.py:6)"
    assert reason.text == f"no user was running for 59 of 60 s; {cause}"


def test_users_that_end_in_on_start_beside_others_are_a_failure_of_the_users_code() -> None:
    some = users_at(lambda second: 40 if second > 1 else 0, died_now=10)
    began = ran({"errors": [{**START, "count": 10}], "task_errors": 10, "task_runs": 500}, some)
    verdict = judge(began)
    assert (verdict.word, verdict.exit_code, verdict.broken) == ("FAIL", 1, ())
    assert verdict.reasons[0].startswith("10 users ended in on_start: Sleeper.on_start raised KeyError: 'token'")
    assert verdict.reasons[-1].startswith("only 40 of 50 users were running")
    lenient = {**clean().begin, "judge": {"task_error_ratio": "5%"}}
    assert judge(replace(began, begin=lenient)).word == "INVALID"  # within the limit, and yet not there
    more = users_at(lambda second: 30 if second > 1 else 0, died_now=10)
    assert judge(ran({"errors": [START], "task_errors": 10, "task_runs": 500}, more)).word == "INVALID"


@pytest.mark.parametrize("length", [12, 20])
def test_ten_users_that_die_in_the_first_second_of_a_short_run_are_missed(length: int) -> None:
    record = ran({"errors": [START]}, users_at(lambda second: 50 if second == 1 else 0))
    short = replace(record, moments=record.moments[: length + 1], ended_at=after(length))
    assert "users_short" in kinds(short)


def test_a_task_that_quits_the_runner_of_its_worker_is_named() -> None:
    (reason,) = judge(ran({"errors": [QUIT]}, users_at(lambda second: 10 if second == 1 else 0))).broken
    assert "a user's own code called runner.quit() (shop.py:12)" in reason.text


def test_users_that_finish_are_not_short_and_are_said() -> None:
    verdict = judge(ran({"finished": 50}, users_at(lambda second: 10 if second < 8 else 0, finished_now=50)))
    assert verdict.word == "PASS"
    assert "50 users finished (StopUser)" in verdict.reasons


def test_fewer_users_during_the_ramp_or_for_a_moment_are_not_short() -> None:
    slow = {**clean().plan, "spawn_rate_per_second": 1.0}
    ramp = ran(
        {},
        lambda second: moment(second, users=min(50, second), state="spawning" if second < 50 else "running"),
        begin={**clean().begin, "plan": slow},
    )
    assert "users_short" not in kinds(ramp)
    dip = ran({}, users_at(lambda second: 20 if second in range(30, 36) else min(50, 10 * second)))
    assert "users_short" not in kinds(dip)


def test_users_missing_from_the_middle_on_are_short_though_all_were_there_once() -> None:
    record = ran({}, users_at(lambda second: 50 if 5 < second < 30 else 3))
    assert "users_short" in kinds(record)
    assert "only 3 of 50 users were running" in judge(record).reasons[0]


def test_of_a_load_shape_each_number_counts_once_its_ramp_is_over() -> None:
    def step(second: int) -> Moment:
        wanted = 10 if second < 30 else 40
        return moment(second, target_users=wanted, users=10)

    plan = {"users": None, "spawn_rate_per_second": None, "run_time_seconds": None, "shape_class": "Steps"}
    record = ran({}, step, begin={"plan": plan, "workers_at_start": 2})
    assert judge(record).reasons[0].startswith("only 10 of 40 users were running, from 01:02:38 UTC, for 25 s")
    fits = ran({}, lambda second: replace(step(second), users=step(second).target_users), begin={"plan": plan})
    assert "users_short" not in kinds(fits)


def test_fewer_users_than_fixed_counts_allow_are_no_lack() -> None:
    record = ran(
        {},
        lambda second: moment(second, users=6, target_users=10, dispatched_users=6),
        begin={**clean().begin, "fixed_counts": {"Admin": 6}},
        end={**clean().end, "users_by_class": {"Admin": 6, "Rare": 0}},
    )
    verdict = judge(record)
    assert verdict.word == "PASS"
    assert (
        "6 of 10 users were assigned to workers: no class takes more than its fixed_count (Admin 6)" in verdict.reasons
    )
    assert "no user of Rare was running; fixed_count comes first (Admin 6)" in verdict.reasons


BOUGHT = {"task_runs": 254, "task_errors": 254, "tasks": {"Buyer.buy": {"runs": 254, "errors": 254}}, "errors": [BUY]}


def test_exceptions_in_tasks_fail_a_run_and_come_first() -> None:
    verdict = judge(ran(BOUGHT))
    assert (verdict.word, verdict.exit_code) == ("FAIL", 1)
    assert verdict.reasons[0] == "254 of 254 runs of Buyer.buy raised KeyError: 'in_stock' (shop.py:11)"
    assert verdict.reasons[1] == "254 exceptions in 254 runs of tasks (100.00%), the limit is 0.00%"


def test_exceptions_within_their_limit_are_said_and_pass() -> None:
    few = {**BOUGHT, "task_errors": 3, "errors": [{**BUY, "count": 3}]}
    verdict = judge(ran(few, begin={**clean().begin, "judge": {"task_error_ratio": "5%"}}))
    assert verdict.word == "PASS"
    assert verdict.reasons[0].startswith("3 of 254 runs of Buyer.buy raised")


@pytest.mark.parametrize(
    ("threshold", "code"),
    [
        ("task_errors<=254", 0),
        ("task_errors<10", 3),
        ("task_error_ratio<100%", 3),
        ("task_error_ratio{name=Buyer.buy}<=100% task_errors<=254", 0),
        ("task_errors{name=Buyer.buy}<=254", 1),  # of one task only: the limit on all holds as well
    ],
)
def test_a_threshold_on_all_task_errors_takes_the_place_of_the_limit(threshold: str, code: int) -> None:
    assert judge(ran(BOUGHT, begin={**clean().begin, "judge": {"thresholds": threshold}})).exit_code == code


def test_an_old_run_that_counted_no_task_runs_is_judged_as_it_was() -> None:
    groups = {"task_errors": 5, "groups": [{"class": "task_error", "name": "Buyer.buy", "message": "x", "count": 5}]}
    assert judge(clean(groups=groups)).word == "PASS"
    asked = {**clean().begin, "judge": {"task_error_ratio": "0"}}
    assert judge(clean(groups=groups, begin=asked)).reasons[0] == "5 × Buyer.buy raised x"


def test_the_live_view_says_the_same_without_counts_that_change_each_second() -> None:
    verdict = so_far(replace(RUN, meters={"users": {**NOTHING, **BOUGHT}}), LOCUST, [], 0.0)
    assert verdict is not None
    (text,) = verdict.reasons
    assert verdict.word == "FAIL"
    assert text == (
        "100.00% of the task runs raised an exception, the limit is 0.00%: "
        "Buyer.buy raised KeyError: 'in_stock' (shop.py:11)"
    )


def test_workers_without_a_request_are_said_first() -> None:
    lines = {
        "w-1": {"made": 5, "requests": 500, "error": ""},
        "w-2": {"made": 5, "requests": 400, "error": "IndexError in Customer.login"},
        "w-3": {"made": 5, "requests": 0, "error": "IndexError in Customer.login"},
        "w-4": {"made": 5, "requests": 0, "error": "IndexError in Customer.login"},
    }
    verdict = judge(ran({**BOUGHT, "by_worker": lines, "workers": 4}))
    assert verdict.word == "FAIL"
    text = "2 of 4 workers made no request after they joined: IndexError in Customer.login"
    assert verdict.reasons[0] == text


def test_accounts_of_failures_that_differ_make_a_run_invalid_and_the_larger_is_judged() -> None:
    performance = {"endpoints": [{"good": {"count": 348}, "failed": {"count": 348}}]}
    groups = {"failures": 348, "groups": []}
    verdict = judge(ran({}, groups=groups, performance=performance, end={"requests": 400, "failures": 0}))
    assert (verdict.word, [reason.kind for reason in verdict.broken]) == ("INVALID", ["accounts_differ"])
    assert verdict.reasons[0].startswith("Locust counted 0 failed requests, the plugin 348: the larger number counts")
    assert verdict.reasons[1] == "50.00% of 696 requests failed, the limit is 0.00%"
    fewer = judge(ran({}, groups={"failures": 3, "groups": []}, end={"requests": 400, "failures": 4}))
    assert fewer.reasons[0].startswith("Locust counted 4 failed requests, the plugin 3")
    agreed = judge(ran({}, groups={"failures": 0, "groups": []}))
    assert agreed.reasons == ("0.00% of 6000 requests failed, the limit is 0.00%",)


def test_the_reports_hold_users_tasks_and_a_case_of_its_own_for_each_limit() -> None:
    classes = {"Buyer": {"made": 50, "not_made": 0, "died": 0, "finished": 2, "stopped": 48}}
    made = document.make(ran({**BOUGHT, "classes": classes}, end={**clean().end, "users_by_class": {"Buyer": 48}}), "p")
    assert made["users_by_class"] == {"Buyer": 48}
    assert made["users"][0] == {"name": "Buyer", "most_users": 48, **classes["Buyer"]}
    assert made["tasks"] == [{"name": "Buyer.buy", "runs": 254, "errors": 254}]
    assert (made["figures"]["task_errors"], made["figures"]["task_error_ratio"]) == (254, 1.0)
    text = templates.junit(made).decode()
    assert 'name="task errors"' in text
    assert "254 of 254 runs of Buyer.buy raised KeyError: 'in_stock'" in text.replace("&#39;", "'")
    assert 'failures="1"' in text


def paced(kept: Callable[[int], float], run_seconds: float = 2.3, **changes: Any) -> RunRecord:
    """100 users at one run a second each, of which so many begin in each second."""
    begun = 0.0
    seconds = []
    for second in range(LENGTH + 1):
        begun += 100 * kept(second)
        seconds.append(moment(second, meters={"users": {}, "pacing": {"Shop": [100.0 * (second + 1), begun]}}))
    schedule = {
        "pacing_seconds": 1.0, "planned": 100.0 * (LENGTH + 1), "begun": begun,
        "measured": begun, "run_seconds": begun * run_seconds,
    }  # fmt: skip
    meters = {"users": {**NOTHING, "task_runs": 2600}, "pacing": {"schedules": {"Shop": schedule}}}
    figures = {**clean().statistics["figures"], "average_ms": 950.0}
    return clean(meters=meters, moments=tuple(seconds), statistics={"figures": figures, "endpoints": []}, **changes)


def test_a_rate_that_was_not_kept_is_invalid_and_says_that_the_target_was_slow() -> None:
    (reason,) = judge(paced(lambda _: 0.417)).broken
    assert reason.kind == "rate_short"
    why = "because the target was slow (a run takes 2.3 s, planned every 1 s)"
    start = f"Shop began 42.4 of 102 planned task runs/s (42%) {why}"
    assert reason.text.startswith(start)


def test_a_slow_generator_is_told_from_a_slow_target() -> None:
    stood = paced(lambda _: 0.5)
    loop = {"worst": {"blocked": {"seconds": 20.0, "observed_seconds": 60.0, "longest_ms": 900, "count": 30}}}
    reasons = judge(replace(stood, meters={**stood.meters, "loop": loop})).reasons
    assert "its event loop was blocked for 33% of the time" in next(
        text for text in reasons if text.startswith("Shop began")
    )
    short_runs = judge(paced(lambda _: 0.5, run_seconds=0.3)).reasons[0]
    assert "because the generator was slow" in short_runs
    slow_code = replace(paced(lambda _: 0.5), end={**clean().end, "requests": 10})
    assert "because its tasks were slow" in judge(slow_code).reasons[0]


@pytest.mark.parametrize(
    "kept",
    [
        lambda _: 1.0,
        lambda _: 0.96,
        lambda second: 0.0 if second == 30 else 1.0,  # the machine stood still for a second
    ],
)
def test_a_rate_that_was_kept_breaks_nothing(kept: Callable[[int], float]) -> None:
    assert judge(paced(kept)).word == "PASS"


def test_a_machine_that_stood_still_for_a_second_of_a_short_run_breaks_nothing() -> None:
    record = paced(lambda _: 1.0)
    schedule = {**record.meters["pacing"]["schedules"]["Shop"], "planned": 1300.0, "begun": 1200.0}
    meters = {**record.meters, "pacing": {"schedules": {"Shop": schedule}}}
    plan = {**clean().begin, "plan": {**clean().plan, "run_time_seconds": 12}}
    short = replace(record, begin=plan, ended_at=after(12), moments=record.moments[:13], meters=meters)
    assert judge(short).word == "PASS"


def test_a_rate_missed_for_half_a_minute_breaks_a_run_that_kept_it_on_the_whole() -> None:
    record = paced(lambda second: 0.9 if second >= 25 else 1.0)
    assert record.meters["pacing"]["schedules"]["Shop"]["begun"] / 6100 < 0.95
    long = paced(lambda second: 0.9 if second >= 20 else 1.08)
    schedule = long.meters["pacing"]["schedules"]["Shop"]
    assert schedule["begun"] / schedule["planned"] > 0.95
    assert kinds(long) == ["rate_short"]


def test_the_rate_has_a_setting_that_turns_it_off() -> None:
    off = {**clean().begin, "judge": {"rate_kept": 0}}
    assert judge(paced(lambda _: 0.4, begin=off)).word == "PASS"
    half = {**clean().begin, "judge": {"rate_kept": "40%"}}
    assert judge(paced(lambda _: 0.45, begin=half)).word == "PASS"


def test_a_processor_that_is_busy_after_the_load_alone_made_no_run_late() -> None:
    late = paced(lambda _: 0.5, end={**clean().end, "load_ended_at": format_time(after(LENGTH - 1))})
    moments = (*late.moments[:-1], replace(late.moments[-1], cpu_percent=100.0))
    (reason,) = judge(replace(late, moments=moments)).broken
    assert "because the target was slow (a run takes 2.3 s, planned every 1 s)" in reason.text
