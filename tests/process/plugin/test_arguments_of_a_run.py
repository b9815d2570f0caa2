"""The locustfile's own arguments in a real master and its worker: what each run's users get, and what is kept of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT
from tests.ports import free_port

SECRET = "opensesameplease"  # noqa: S105  the test's own
LOCUSTFILE = """
import argparse
from locust import User, constant, events, task

def short(text):
    if len(text) > 3:
        raise argparse.ArgumentTypeError("a text of 3 characters at most")
    return text.upper()

@events.init_command_line_parser.add_listener
def arguments(parser):
    parser.add_argument("--think", type=float, default=1)
    parser.add_argument("--tenant", choices=["blue", "green"], default="blue", env_var="LOCUST_TENANT")
    parser.add_argument("--api-key", default="", is_secret=True)
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("--cached", default=True)
    parser.add_argument("--region", choices=["eu", "us", "ap"], default=["eu"], is_multiple=True)
    parser.add_argument("--code", type=short, default=None)
    parser.add_argument("--hidden", default="h", include_in_web_ui=False)
    group = parser.add_argument_group("of a group")
    group.add_argument("--pairs", type=lambda text: text.split("+"), default=["p"])
    group.add_argument("--size", type=str.upper, choices=["S", "M"], default="S")
    group.add_argument("--step", nargs="*", type=int, default=[])

class Visitor(User):
    wait_time = constant(0.2)

    @task
    def visit(self):
        o = self.environment.parsed_options
        name = f"{o.tenant} {o.think!r} {o.dry} {o.cached} {o.region} {o.code} {o.hidden}"
        name += f" {o.pairs} {o.size} {o.step} {len(o.api_key)}"
        error = None if o.tenant == "blue" else RuntimeError(f"refused {o.api_key}")
        self.environment.events.request.fire(
            request_type="GET", name=name, response_time=1, response_length=1, exception=error,
            context={"key": o.api_key}, start_time=0, url=f"http://x/{o.api_key}", response=None)
"""
NAMES = ("think", "tenant", "api_key", "dry", "cached", "region", "code", "hidden", "pairs", "size", "step")
DEFAULTS = "blue 1 False True ['eu'] None h ['p'] S [] 0"


@dataclass
class Swarm:
    port: int
    runs: Path

    def post(self, path: str, **form: str) -> Any:
        body = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", body, timeout=20) as answer:
            return json.load(answer)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
            return json.load(answer)

    def start(self, given: Mapping[str, Any] | None = None, **form: str) -> Any:
        """Start a run of the kit, or of somebody else when nothing is `given`."""
        kit = {} if given is None else {"kit_arguments": json.dumps(given)}
        return self.post("/swarm", user_count="1", spawn_rate="1", host="http://x.invalid", **kit, **form)

    def names(self, given: Mapping[str, Any] | None = None, **form: str) -> set[str]:
        """Make a run; return the names of its requests, from its folder: the master's own answer may be old."""
        before = set(self.runs.iterdir()) if self.runs.exists() else set()
        answer = self.start(given, **form)
        assert answer["success"], answer
        until(lambda: set(self.runs.iterdir()) - before)
        return self.names_when_stopped()

    def names_when_stopped(self) -> set[str]:
        """Let the newest run make requests, stop it, and return their names."""
        folder = max(self.runs.iterdir())
        until(lambda: json.loads((folder / "timeline.ndjson").read_text().splitlines()[-1])["requests"])
        self.post("/stop")
        until((folder / "end.json").exists)
        return {row["name"] for row in json.loads((folder / "statistics.json").read_text())["endpoints"]}

    def newest(self) -> dict[str, Any]:
        folder = max(self.runs.iterdir())
        document: dict[str, Any] = json.loads((folder / "run.json").read_text())
        return document


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except (OSError, IndexError):  # nobody listens yet, nothing is written yet
            pass
        time.sleep(0.1)
    raise AssertionError("waited in vain")


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    folder = tmp_path_factory.mktemp("arguments")
    (folder / "locustfile.py").write_text(LOCUSTFILE)
    port, bind = free_port(), free_port()
    files = f"{folder / 'locustfile.py'},{ROOT / 'docker/locust/locust_kit_plugin.py'}"
    environ = {
        **{name: text for name, text in os.environ.items() if not name.startswith(("LOCUST_", "KIT_"))},
        "PYTHONPATH": f"{ROOT / 'locustfiles'}",
        "KIT_RUNS_DIR": str(folder / "runs"),
    }
    locust = [sys.executable, "-m", "locust", "-f", files]
    roles = (
        ["--master", "--web-host", "127.0.0.1", "--web-port", str(port), "--master-bind-port", str(bind)],
        ["--worker", "--master-host", "127.0.0.1", "--master-port", str(bind)],
    )
    with (folder / "log").open("wb") as log:
        started = [
            subprocess.Popen([*locust, *role], cwd=folder, env=environ, stdout=log, stderr=log) for role in roles
        ]
    made = Swarm(port, folder / "runs")
    try:
        until(lambda: made.get("/worker-count")["worker_count"] == 1)
        yield made
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


def test_users_get_what_a_run_was_given_and_the_next_run_the_defaults(swarm: Swarm) -> None:
    given: dict[str, Any] = {
        "tenant": "green",
        "think": "-0.2",
        "dry": "yes",
        "cached": "false",
        "region": "us,ap",
        "code": "-ab",
    }
    given |= {"hidden": "--x", "pairs": "a+b", "size": "m", "step": ["-1", "2"]}
    assert swarm.names(given) == {"green -0.2 True False ['us', 'ap'] -AB --x ['a', 'b'] M [-1, 2] 0"}
    assert swarm.newest()["arguments"] == {
        "think": -0.2, "tenant": "green", "api_key": "***", "dry": True, "cached": False, "region": ["us", "ap"],
        "code": "-AB", "hidden": "--x", "pairs": ["a", "b"], "size": "M", "step": [-1, 2],
    }  # fmt: skip
    assert swarm.names({}) == {DEFAULTS}
    assert swarm.newest()["arguments"]["tenant"] == "blue"


def test_a_run_of_the_page_has_what_its_form_says_and_nothing_of_the_kits_run_before(swarm: Swarm) -> None:
    swarm.names({"hidden": "kits", "tenant": "green"})
    assert swarm.names(tenant="green") == {DEFAULTS.replace("blue", "green")}
    assert swarm.newest()["arguments"]["tenant"] == "green"
    assert {row["name"]: row["value"] for row in swarm.get("/locust-kit/status")["arguments"]}["tenant"] == "green"
    assert swarm.names({}) == {DEFAULTS}


def test_an_edit_of_a_run_that_goes_on_keeps_its_arguments(swarm: Swarm) -> None:
    assert swarm.start({"tenant": "green"})["success"]
    until(lambda: swarm.get("/locust-kit/status")["state"] == "running")
    assert swarm.post("/swarm", user_count="2", spawn_rate="1")["success"]
    assert {name.split()[0] for name in swarm.names_when_stopped()} == {"green"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tenant": "purple"}, "tenant is 'purple'; expected: blue or green"),
        ({"think": "abc"}, "think is 'abc'; expected: a number"),
        ({"think": "nan"}, "think is 'nan'; expected: a number"),
        ({"dry": "maybe"}, "dry is 'maybe'; expected: true or false"),
        ({"region": "eu,mars"}, "region is 'mars'; expected: eu or us or ap"),
        ({"size": "xl"}, "size is 'xl'; expected: S or M"),
        ({"step": "1,b"}, "step is 'b'; expected: a whole number"),
        ({"code": "long"}, "code is 'long'; expected: a text of 3 characters at most"),
        (
            {"colour": "red"},
            f"colour is not an argument of this locustfile; its arguments: {', '.join(NAMES)}",
        ),
    ],
)
def test_a_value_that_an_argument_cannot_have_starts_nothing(swarm: Swarm, given: dict[str, str], message: str) -> None:
    answer = swarm.start(given)
    assert (answer["success"], answer["message"]) == (False, message)
    assert swarm.get("/locust-kit/status")["state"] != "running"


def test_a_secret_is_in_no_file_of_a_run_and_in_no_answer(swarm: Swarm) -> None:
    names = swarm.names({"api_key": SECRET, "tenant": "green"})
    assert names == {DEFAULTS.replace("blue", "green").replace(" 0", f" {len(SECRET)}")}
    folder = max(swarm.runs.iterdir())
    groups = json.loads((folder / "failure_groups.json").read_text())["groups"]
    assert groups[0]["message"] == "refused ***"
    for path in swarm.runs.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in json.dumps(swarm.get("/locust-kit/status"))
    assert SECRET not in (swarm.runs.parent / "log").read_text()


def test_the_status_tells_what_the_arguments_are(swarm: Swarm) -> None:
    rows = {row["name"]: row for row in swarm.get("/locust-kit/status")["arguments"]}
    assert {name: row["kind"] for name, row in rows.items()} == {
        "think": "number", "tenant": "text", "api_key": "text", "dry": "switch", "cached": "switch", "region": "text",
        "code": "custom", "hidden": "text", "pairs": "custom", "size": "custom", "step": "whole number",
    }  # fmt: skip
    assert (rows["tenant"]["choices"], rows["tenant"]["variable"]) == (["blue", "green"], "LOCUST_TENANT")
    assert rows["dry"]["flags"] == {"--dry": "true"}
    assert rows["api_key"]["flags"] == {"--api-key": None}
    assert (rows["region"]["is_multiple"], rows["api_key"]["is_secret"], rows["api_key"]["default"]) == (
        True, True, "***",
    )  # fmt: skip
