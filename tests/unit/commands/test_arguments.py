"""NAME=VALUE and ARGS of `run` against the arguments that the locustfile adds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli.verbs import VERBS, call
from sidecar.commands import arguments, capacity, plan
from sidecar.common.errors import SettingError
from sidecar.model import run_arguments
from sidecar.settings import load


def _row(name: str, **more: object) -> dict[str, Any]:
    flag = f"--{name.replace('_', '-')}"
    return {"name": name, "kind": "text", "choices": [], "default": "", "flags": {flag: None}, **more}


STATUS = {
    "arguments": [
        _row("tenant", choices=["blue", "green"], default="blue", value="green"),
        _row("think", kind="number", default=1.0),
        _row("count", kind="whole number", default=3),
        _row("api_key", is_secret=True, default="***"),
        _row("dry_run", kind="switch", default=False, flags={"--dry-run": "true", "--no-dry-run": "false"}),
        _row("region", choices=["eu", "us"], is_multiple=True, default=["eu"]),
        _row("note"),
    ]
}
NAMES = [row["name"] for row in STATUS["arguments"]]
FLAGS = [flag for row in STATUS["arguments"] for flag in row["flags"]]
PAGE = {
    "extra_options": {
        "tenant": {"default_value": "blue", "choices": ["blue", "green"]},
        "think": {"default_value": 1.0},
        "dry": {"default_value": False},
        "region": {"default_value": ["eu"], "is_multiple": True},
        "later": {"default_value": None},
        "api_key": {"default_value": "x", "is_secret": True},
    }
}


def _plan(*words: str, status: dict[str, Any] | None = STATUS, environ: dict[str, str] | None = None) -> plan.RunPlan:
    settings = load(words, environ or {}, Path("/nowhere"), with_arguments=True)
    return plan.make(settings, plan.master(status, PAGE, {}), "")


def _sent(*words: str, environ: dict[str, str] | None = None) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(dict(_plan(*words, environ=environ).form())["kit_arguments"])
    return sent


def _error(*words: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingError) as caught:
        _plan(*words, environ=environ)
    return caught.value.line()


def test_what_a_run_gives_is_sent_and_a_run_without_them_says_so_too() -> None:
    assert _sent("tenant=green", "think=0.2", "dry-run=1", "note=-a b", "USERS=5") == {
        "tenant": "green", "think": "0.2", "dry_run": "1", "note": "-a b",
    }  # fmt: skip
    assert _sent() == {}
    assert _sent("tenant=") == {}, "nothing asks for the default, as with settings"


def test_variables_of_the_make_command_line_are_arguments_and_those_of_a_make_around_it_may_be() -> None:
    made = {"MAKEFLAGS": " -- tenant=green colour=red KIT=x", "tenant": "green", "colour": "red", "KIT": "x"}
    assert _error(environ=made | {"MAKELEVEL": "1"}).startswith("colour=red: not a setting, and not an argument")
    assert _sent(environ=made | {"MAKELEVEL": "2"}) == {"tenant": "green"}


@pytest.mark.parametrize("name", ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "PATH", "HTTPS_PROXY", "no_proxy"])
def test_where_the_engine_is_and_how_to_get_there_are_no_arguments(name: str) -> None:
    assert _sent(environ={"MAKEFLAGS": f" -- {name}=x tenant=green", name: "x", "tenant": "green"}) == {
        "tenant": "green"
    }


def test_a_name_with_a_dash_comes_through_make_with_its_value_as_it_was_typed() -> None:
    made = {"MAKEFLAGS": r" -- api-key=a\ b\\c$$d USERS=5", "USERS": "5"}
    assert _sent(environ=made) == {"api_key": r"a b\c$d"}


def test_choices_of_a_type_of_the_users_own_are_left_to_it() -> None:
    status = {"arguments": [_row("size", kind="custom", choices=["S", "M"])]}
    assert dict(_plan("size=m", status=status).form())["kit_arguments"] == '{"size": "m"}'


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("--tenant green --think 0.2", {"tenant": "green", "think": "0.2"}),
        ("--tenant=green --dry-run", {"tenant": "green", "dry_run": "true"}),
        ("--no-dry-run --note '-x y'", {"dry_run": "false", "note": "-x y"}),
        ("--think -0.5", {"think": "-0.5"}),
        ("--region eu us --tenant green", {"region": ["eu", "us"], "tenant": "green"}),
        ("--region us --region eu", {"region": ["us", "eu"]}),
        ("--note ''", {"note": ""}),
    ],
)
def test_args_are_read_as_on_locusts_command_line(text: str, sent: dict[str, Any]) -> None:
    assert _sent(f"ARGS={text}") == sent
    assert _sent(f"ARGS={text}", "think=7")["think"] == "7"


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("tenant=purple", "tenant is 'purple'; expected: blue or green"),
        ("think=abc", "think is 'abc'; expected: a number"),
        ("think=nan", "think is 'nan'; expected: a number"),
        ("count=1.5", "count is '1.5'; expected: a whole number"),
        ("dry_run=perhaps", "dry_run is 'perhaps'; expected: true or false"),
        ("region=eu,mars", "region is 'mars'; expected: eu or us"),
        ("ARGS=--tenant purple", "tenant is 'purple'; expected: blue or green"),
        (
            "colour=red",
            f"colour=red: not a setting, and not an argument of this locustfile, which has {', '.join(NAMES)}",
        ),
        ("ARGS=--hue red", f"ARGS has a word that belongs to no flag; expected: some of {', '.join(FLAGS)}"),
        ("ARGS=--tenant", "ARGS: --tenant has no value; expected: a value"),
        ("ARGS=--dry-run=1", "ARGS: --dry-run has a value; expected: no value"),
        ("ARGS='green", "ARGS cannot be used (command line); expected: No closing quotation"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_wanted(word: str, line: str) -> None:
    assert _error(word) == line


def test_a_slip_is_told_from_an_argument_of_nearly_a_settings_name() -> None:
    assert _error("users=5").endswith("→ write USERS")
    assert _error("tenent=blue").endswith("→ write tenant")
    status = {"arguments": [_row("user")]}
    assert dict(_plan("user=ada", status=status).form())["kit_arguments"] == '{"user": "ada"}'
    with pytest.raises(SettingError, match="one typo away from USERS"):
        load(["USER=5"], {}, Path("/nowhere"), with_arguments=True)


def test_a_slip_in_args_is_told_the_flag_that_is_meant() -> None:
    assert _error("ARGS=--tenent blue").endswith("→ write --tenant")


@pytest.mark.parametrize(
    "word",
    [
        *("apikey=sesame", "password=sesame", "ARGS=--api_key sesame", "ARGS=sesame"),
        *("ARGS=-ksesame", "ARGS=--keysesame", "ARGS=--api-keysesame"),
    ],
)
def test_no_message_holds_what_may_be_a_secret(word: str) -> None:
    assert "sesame" not in _error(word)


def test_a_secret_is_sent_and_shown_nowhere() -> None:
    run_plan = _plan("api_key=sesame", "tenant=green")
    assert "sesame" in dict(run_plan.form())["kit_arguments"]
    assert "sesame" not in repr(run_plan)
    assert run_plan.arguments == {
        "tenant": "green", "think": 1.0, "count": 3, "api_key": "***", "dry_run": False, "region": ["eu"], "note": "",
    }  # fmt: skip
    assert run_arguments.line({"tenant": "green", "dry_run": False, "region": ["eu", "us"], "key": "***"}) == (
        "tenant=green, dry_run=false, region=eu,us, key=***"
    )


def test_a_master_without_the_plugin_is_sent_every_argument_as_its_page_sends_them() -> None:
    form = _plan("tenant=green", "dry=yes", status=None).form()
    assert [pair for pair in form if pair[0] in PAGE["extra_options"]] == [
        ("tenant", "green"), ("think", "1.0"), ("dry", "true"), ("region", "eu"), ("api_key", "x"),
    ]  # fmt: skip


def test_a_run_that_is_followed_takes_no_arguments_and_tells_those_it_has() -> None:
    assert _error("ATTACH=1", "tenant=green").startswith("tenant is set, but ATTACH=1 follows a run")
    assert _error("ATTACH=1", "ARGS=--tenant green").startswith("ARGS is set")
    assert _plan("ATTACH=1").arguments["tenant"] == "green"


def test_other_verbs_refuse_a_name_that_is_no_setting() -> None:
    with pytest.raises(SettingError, match="unknown setting colour"):
        call(VERBS["scale"], ["PROJECT=no-such-stack", "WORKERS=2", "colour=red"], {})


def test_two_runs_of_other_arguments_are_told_apart() -> None:
    assert run_arguments.changes({"tenant": "blue", "think": 1.0}, {"tenant": "green", "think": 1.0}) == (
        "tenant blue → green"
    )
    assert run_arguments.changes({"a": ""}, {"a": "x", "b": True}) == "a (nothing) → x, b (no such argument) → true"
    assert arguments.known({}, {}) == ()


def test_the_run_of_a_capacity_test_has_a_locustfile_of_its_own_without_these_arguments(tmp_path: Path) -> None:
    environ = {"MAKEFLAGS": " -- colour=red", "colour": "red"}
    own = capacity._own(load(["ENDPOINT=/x", "HOST=http://shop.example", "ARGS=--tenant green"], environ, tmp_path))
    assert (own.args, own.words) == ((), {})
