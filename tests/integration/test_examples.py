"""Each example does what it shows, against the mock target."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.stacks import Stack, log_of
from tests.paths import ROOT

EXAMPLES = ROOT / "locustfiles" / "examples"
WORKERS = 2


@pytest.fixture(scope="module")
def examples(stack: Stack) -> Stack:
    stack.settings |= {"LOCUSTFILES_DIR": str(EXAMPLES), "WORKERS": str(WORKERS), "MOCK": "1", "FAIL_RATIO": "100%"}
    return stack


def classes_of_a_run(stack: Stack, file: str, users: int) -> Counter[str]:
    """What failed in a short run, by class; with "requests"."""
    stack.up(f"LOCUSTFILE={file}")
    run = stack.start_run(f"USERS={users}", f"SPAWN_RATE={users}", "RUN_TIME=6s")
    said, _ = run.communicate(timeout=360)
    (report,) = [line.partition("report: ")[2] for line in said.splitlines() if line.startswith("report: ")]
    document = json.loads((Path(report) / "failure_groups.json").read_text())
    assert document["task_errors"] == 0, document["groups"]
    return Counter(document["classes"]) + Counter({"requests": document["requests"]})


@pytest.mark.parametrize(
    ("file", "failing"),
    [
        ("catch_response.py", {"assertion", "invalid_content"}),
        ("data_feeder.py", set()),
        pytest.param("automatic.py", {"server_error", "read_timeout"}, marks=pytest.mark.long),
        pytest.param("context.py", {"assertion"}, marks=pytest.mark.long),
        pytest.param("streamed.py", set(), marks=pytest.mark.long),
        pytest.param("benchmark.py", set(), marks=pytest.mark.long),
        pytest.param("pools.py", set(), marks=pytest.mark.long),
    ],
)
def test_an_example_runs_and_fails_only_as_it_means_to(examples: Stack, file: str, failing: set[str]) -> None:
    found = classes_of_a_run(examples, file, 10)
    assert found["requests"] > 0
    assert set(found) - {"requests"} == failing


def test_each_row_is_dealt_to_one_worker(examples: Stack) -> None:
    classes_of_a_run(examples, "data_feeder.py", 4)
    logs = [log_of(container) for container in examples.containers("locust-worker")]
    assert sum("this worker has 20 rows" in log for log in logs) == WORKERS


def test_every_example_is_tested() -> None:
    named = {"catch_response", "automatic", "context", "streamed", "benchmark", "pools", "data_feeder"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == named
