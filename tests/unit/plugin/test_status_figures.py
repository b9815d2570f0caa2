"""The figures in the plugin's status: those of Locust's `/stats/requests`, with its largest rows alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from locust.env import Environment
from locust.event import Events
from locust.runners import LocalRunner
from locust_kit.status import figures


def test_the_largest_rows_and_the_sums_are_there() -> None:
    environment = Environment(events=Events())
    runner: Any = SimpleNamespace(state="running", user_count=7)
    environment.runner = runner
    for number in range(30):
        for _ in range(number + 1):
            environment.stats.log_request("GET", f"/{number}", 10, 5)
            environment.stats.log_error("GET", f"/{number}", f"error {number}")
    found = figures(environment, str)
    assert (found["state"], found["user_count"], found["fail_ratio"]) == ("running", 7, 1.0)
    assert [row["name"] for row in found["stats"]] == [*(f"/{number}" for number in range(29, 9, -1)), "Aggregated"]
    assert found["stats"][-1]["num_requests"] == 465
    assert [row["occurrences"] for row in found["errors"]] == list(range(30, 10, -1))


def test_names_and_errors_are_without_secrets() -> None:
    environment = Environment(events=Events())
    environment.stats.log_request("GET", "/cart?key=opensesame", 10, 5)
    environment.stats.log_error("GET", "/cart?key=opensesame", RuntimeError("refused opensesame"))
    found = figures(environment, lambda text: text.replace("opensesame", "***"))
    assert found["errors"][0]["error"] == "RuntimeError('refused ***')"
    assert "opensesame" not in str(found)


def test_what_locust_answers_has_the_same_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["locust"])
    environment = Environment(events=Events())
    environment.runner = LocalRunner(environment)
    web_ui = environment.create_web_ui("127.0.0.1", 0, delayed_start=True)
    assert web_ui.app
    answer = web_ui.app.test_client().get("/stats/requests").get_json()
    assert set(figures(environment, str)) - {"workers"} <= set(answer)
