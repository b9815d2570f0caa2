"""A run keeps its users while workers come and go."""

from dataclasses import replace

from locust_kit.shortfall import PATIENCE_SECONDS, Load, Shortfall

WHOLE = Load(running=True, users=40, target_users=40, workers=6, missing_workers=0)
SHORT = replace(WHOLE, users=16, workers=2)


def after_a_loss(short: Load = SHORT) -> Shortfall:
    """At 100 s some workers left."""
    shortfall = Shortfall()
    assert not shortfall.lasting(WHOLE, 99.0)
    assert not shortfall.lasting(short, 100.0)
    return shortfall


def test_a_loss_counts_once_it_lasts_and_only_once() -> None:
    shortfall = after_a_loss()
    assert not shortfall.lasting(SHORT, 100.0 + PATIENCE_SECONDS - 0.1)
    assert shortfall.lasting(SHORT, 100.0 + PATIENCE_SECONDS)
    assert not shortfall.lasting(SHORT, 200.0)


def test_a_dip_that_recovers_is_no_shortfall() -> None:
    shortfall = after_a_loss()
    assert not shortfall.lasting(replace(WHOLE, workers=2), 102.0)
    assert not shortfall.lasting(SHORT, 104.0)
    assert not shortfall.lasting(SHORT, 200.0)


def test_users_that_end_themselves_are_no_loss() -> None:
    shortfall = Shortfall()
    ended = replace(WHOLE, users=16)
    assert not any(shortfall.lasting(load, at) for load, at in ((WHOLE, 0.0), (ended, 1.0), (ended, 100.0)))


def test_users_that_finished_are_no_loss_when_a_worker_leaves() -> None:
    shortfall = Shortfall()
    finished = replace(SHORT, finished=24)
    assert not any(shortfall.lasting(load, at) for load, at in ((WHOLE, 0.0), (finished, 1.0), (finished, 100.0)))


def test_a_loss_of_the_run_before_is_none_of_this_run() -> None:
    shortfall = after_a_loss()
    shortfall.begin()
    assert not any(shortfall.lasting(SHORT, at) for at in (101.0, 200.0))


def test_it_waits_while_locust_spawns_and_while_a_worker_is_missing() -> None:
    for busy in (replace(SHORT, running=False), replace(SHORT, missing_workers=1)):
        shortfall = after_a_loss(busy)
        assert not shortfall.lasting(busy, 1000.0)
        assert not shortfall.lasting(SHORT, 1001.0)
        assert shortfall.lasting(SHORT, 1001.0 + PATIENCE_SECONDS)
