"""What an order to spawn users came to; what real users do is in tests/process/plugin."""

from __future__ import annotations

from typing import Any

import pytest
from gevent import GreenletExit
from locust_kit.meters.users import UserMeter


@pytest.mark.parametrize(("error", "not_made"), [(GreenletExit(), 0), (IndexError("pop from empty list"), 3)])
def test_users_of_an_order_that_is_cut_short_could_be_made(error: BaseException, not_made: int) -> None:
    meter = UserMeter()

    def spawn(*_: Any) -> None:
        meter._classes["Buyer"].made += 2
        raise error

    with pytest.raises(type(error)):
        meter._spawn(spawn, None, {"Buyer": 5})
    assert meter.document()["classes"]["Buyer"]["not_made"] == not_made
