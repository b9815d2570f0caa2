"""What an order to start a run brings as arguments: a value in another form is refused in words."""

from __future__ import annotations

from typing import Any

import flask
import pytest
from locust.env import Environment
from locust_kit.arguments import TEXT, AddedArgument, RunArguments

NEITHER = (False, False)  # a list, a secret


@pytest.fixture
def app() -> flask.Flask:
    """The master's page, with one argument of the locustfile."""
    arguments = RunArguments(Environment())
    arguments._known = {"tenant": AddedArgument("tenant", TEXT, "", (), *NEITHER, {}, "", str)}
    made = flask.Flask("locust")
    arguments.install(made, lambda view: view, "")
    made.add_url_rule("/swarm", "swarm", lambda: {"success": True}, methods=["POST"])
    return made


@pytest.mark.parametrize("value", ["7", "null", "[1]", '{"a": "b"}', "[" * 100_000])
def test_a_value_that_is_no_text_is_refused_and_starts_nothing(app: flask.Flask, value: str) -> None:
    answer: Any = app.test_client().post("/swarm", data={"kit_arguments": f'{{"tenant": {value}}}'})
    assert (answer.status_code, answer.json["success"]) == (200, False)
    assert answer.json["message"]
