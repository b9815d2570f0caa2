"""What an order to spawn users came to; what real users do is in tests/process/plugin."""

from __future__ import annotations

from typing import Any

import pytest
from gevent import GreenletExit
from locust.env import Environment
from locust_kit.meters.users import TASK, UserMeter


@pytest.mark.parametrize(("error", "not_made"), [(GreenletExit(), 0), (IndexError("pop from empty list"), 3)])
def test_users_of_an_order_that_is_cut_short_could_be_made(error: BaseException, not_made: int) -> None:
    meter = UserMeter()

    def spawn(*_: Any) -> None:
        meter._classes["Buyer"].made += 2
        raise error

    with pytest.raises(type(error)):
        meter._spawn(spawn, None, {"Buyer": 5})
    assert meter.document()["classes"]["Buyer"]["not_made"] == not_made


def test_an_error_is_grouped_by_its_masked_text_and_told_by_its_own_without_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("locust_kit.meters.users.secrets_of", lambda _: frozenset({"hunter2-of-a-run"}))
    meter = UserMeter()
    meter._environment = Environment(user_classes=[])
    meter.begin()
    for order in (17, 18):
        meter._note("Buyer.buy", TASK, ValueError(f"no order\n{order} for hunter2-of-a-run"), None)
    (error,) = UserMeter.merged({"w1": meter.document()})["errors"]
    assert (error["count"], error["text"].count("<n>")) == (2, 1)
    assert error["example"] == "no order 17 for ***"
