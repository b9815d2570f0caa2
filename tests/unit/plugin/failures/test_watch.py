"""Too many failures: logged once when it begins, once when it is over, and not for noise."""

from __future__ import annotations

from locust_kit.failures.watch import Watch


def run(watch: Watch, *seconds: tuple[int, int], begin: float = 0.0) -> list[str]:
    """What is said while each second brings so many requests, so many of them failed."""
    said, requests, failures = [watch.look(begin, 0, 0)], 0, 0
    for number, (done, failed) in enumerate(seconds, 1):
        requests, failures = requests + done, failures + failed
        said.append(watch.look(begin + number, requests, failures))
    return [line for line in said if line]


def test_too_many_are_logged_once_and_their_end_once() -> None:
    said = run(Watch(), *[(100, 0)] * 10, *[(100, 20)] * 10, *[(100, 0)] * 15)
    assert said == [
        "6.0 % of 1000 requests failed in the last 10 s: too many (limit 5 %)",
        "2.0 % of 1000 requests failed in the last 10 s: no longer too many",
    ]


def test_a_share_about_the_threshold_is_logged_once() -> None:
    assert len(run(Watch(), *[(100, 6), (100, 4)] * 30)) == 1


def test_a_failure_among_few_requests_is_no_share() -> None:
    watch = Watch()
    assert run(watch, *[(1, 1)] * 10) == []
    assert watch.ratio is None


def test_what_failed_before_the_window_counts_no_more() -> None:
    watch = Watch()
    run(watch, (100, 50), *[(100, 0)] * 11)
    assert watch.ratio == 0.0


def test_statistics_that_were_reset_begin_a_new_window() -> None:
    watch = Watch()
    run(watch, *[(100, 50)] * 5)
    assert watch.look(6.0, 0, 0) == ""
    assert not watch.is_high
    assert watch.look(7.0, 100, 50).startswith("50.0 % of 100 requests failed")
