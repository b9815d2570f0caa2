"""What an order to start a run brings as arguments: a value in another form is refused in words."""

from __future__ import annotations

import argparse
from typing import Any

import flask
import pytest
from locust import events
from locust.argument_parser import get_parser
from locust.env import Environment
from locust_kit import arguments
from locust_kit.arguments import TEXT, AddedArgument, RunArguments

NEITHER = (False, False)  # a list, a secret


@pytest.fixture
def app() -> flask.Flask:
    """The master's page, with one argument of the locustfile."""
    run_arguments = RunArguments(Environment())
    run_arguments._known = {"tenant": AddedArgument("tenant", TEXT, "", (), *NEITHER, {}, "", str)}
    made = flask.Flask("locust")
    run_arguments.install(made, lambda view: view, "")
    made.add_url_rule("/swarm", "swarm", lambda: {"success": True}, methods=["POST"])
    return made


@pytest.mark.parametrize("value", ["7", "null", "[1]", '{"a": "b"}', "[" * 100_000])
def test_a_value_that_is_no_text_is_refused_and_starts_nothing(app: flask.Flask, value: str) -> None:
    answer: Any = app.test_client().post("/swarm", data={"kit_arguments": f'{{"tenant": {value}}}'})
    assert (answer.status_code, answer.json["success"]) == (200, False)
    assert answer.json["message"]


def test_the_secrets_are_read_again_in_each_run_and_the_parser_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[None] = []

    def parser() -> Any:
        made.append(None)
        return get_parser()

    def add(parser: Any) -> None:
        parser.add_argument("--shop-key", is_secret=True)

    monkeypatch.setattr(arguments, "get_parser", parser)
    monkeypatch.setattr(events.init_command_line_parser, "_handlers", [add])
    options = argparse.Namespace(shop_key="first")
    environment = Environment(parsed_options=options)
    assert arguments.secrets_of(environment) == {"first"}
    options.shop_key = "second"
    assert (arguments.secrets_of(environment), len(made)) == (frozenset({"second"}), 1)
    monkeypatch.setattr(events.init_command_line_parser, "_handlers", [])
    assert (arguments.secrets_of(environment), len(made)) == (frozenset(), 2)
