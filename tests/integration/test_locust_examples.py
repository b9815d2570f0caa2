"""Some of the examples of Locust's repository on a real stack; tests/process/locust_examples runs all of them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stacks import Stack, docker, readable
from tests.paths import ROOT

EXAMPLES = ROOT / "tests/process/locust_examples/files"
PAGE = "http://locust-master:8089"
MOCK = "http://mock-target:8080"
ASK = (
    "from urllib.request import Request, urlopen;"
    "print(urlopen(Request('http://127.0.0.1:8080/_mock/{}', method='{}')).read().decode())"
)
PROBES = 3  # of "/", by the kit itself: whether the target answers
RIGHT = {
    # The stand-in for a site has no /stats/requests and no /does_not_exist: both are 404.
    "basic.py": (MOCK, "FAIL", {"/", "/stats/requests", "/does_not_exist"}),
    "multiple_hosts.py": (MOCK, "FAIL", {"/", "/stats/requests"}),
    "nested_inline_tasksets.py": (MOCK, "FAIL", {"/", "/stats/requests"}),
    "fast_http_locust.py": (PAGE, "PASS", {"/", "/stats/requests"}),
    "response_validations.py": (PAGE, "PASS", {"/authenticate", "/checkout/confirm"}),
    "testdata_from_csv.py": (PAGE, "PASS", {"/authenticate"}),
    "manual_stats_reporting.py": ("", "FAIL", {"successful_task", "decorator_test", "failing_task"}),
}


@pytest.fixture(scope="module")
def examples(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    folder = tmp_path_factory.mktemp("locust")
    readable(folder)
    for name in (*RIGHT, "testdata_from_csv.csv"):
        shutil.copy(EXAMPLES / name, folder)
    (folder / ".env").write_text(f"API_HOST={MOCK}\n")
    stack.settings |= {"LOCUSTFILES_DIR": str(folder), "WORKERS": "2"}
    return stack


def mock(stack: Stack, path: str, method: str = "GET") -> Any:
    """What the mock target says under this path; the test takes no part in its counts."""
    (container,) = stack.containers("mock-target")
    answer = docker("exec", container, "python3", "-c", ASK.format(path, method))
    return json.loads(answer) if path == "counts" else answer


@pytest.mark.long
@pytest.mark.parametrize("name", RIGHT)
def test_an_example_runs_and_counts_what_its_target_saw(name: str, examples: Stack) -> None:
    host, verdict, endpoints = RIGHT[name]
    examples.up(f"LOCUSTFILE={name}", f"HOST={host}")
    if host == MOCK:
        mock(examples, "reset", "POST")
    run = examples.start_run("USERS=4", "SPAWN_RATE=4", "RUN_TIME=10s")
    said, _ = run.communicate(timeout=360)
    (report,) = [line.partition("report: ")[2] for line in said.splitlines() if line.startswith("report: ")]
    document = json.loads((Path(report) / "report.json").read_text())
    counted = Counter({row["name"]: row["requests"] for row in document["endpoints"]})
    assert set(counted) <= endpoints, said
    assert counted, said
    assert document["verdict"] == verdict, said
    if host == MOCK:
        seen = Counter(mock(examples, "counts")["paths"])
        assert 0 <= seen.pop("/", 0) - counted.pop("/", 0) <= PROBES, said
        assert counted == seen, said
