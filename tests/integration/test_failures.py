"""Failed requests on a real stack: counted exactly, told apart as the target did them, kept in the run's folder."""

from __future__ import annotations

import csv
import io
import json
import urllib.request
from collections import Counter
from typing import Any

import pytest

from tests.integration.stacks import UNTIL_DONE, Stack, docker, get_json, log_of, until

LOCUSTFILE = """
from locust import FastHttpUser, HttpUser, constant, task

class Shopper(HttpUser):
    host = "http://mock-target:8080"
    wait_time = constant(0.1)

    @task
    def unavailable(self):
        self.client.get("/status/503", name="/unavailable")

    @task
    def missing(self):
        self.client.get("/status/404", name="/missing")

    @task
    def fine(self):
        self.client.get("/fast")

    @task
    def hung_up(self):
        self.client.get("/reset?after=nothing", name="/reset")

class Buyer(FastHttpUser):
    host = "http://mock-target:8080"
    wait_time = constant(0.1)

    @task
    def cut_off(self):
        self.client.get("/truncate?bytes=1000", name="/truncate")

    @task
    def wrong(self):
        with self.client.get("/wrong/success", name="/wrong", catch_response=True, context={"cart": 7}) as response:
            response.failure("no stock for order %d" % id(response))

    @task
    def broken(self):
        raise KeyError("price")
"""
WORKERS = 4
KEY = "a-key-of-this-test-4711"


@pytest.fixture(scope="module")
def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    folder = tmp_path_factory.mktemp("locustfiles")
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    (folder / "locustfile.py").write_text(LOCUSTFILE + UNTIL_DONE)
    stack.settings |= {
        "LOCUSTFILES_DIR": str(folder),
        "WORKERS": str(WORKERS),
        "STOP_TIMEOUT": "5",
        "FAIL_RATIO": "100%",
        "SHAPE": "none",
    }
    stack.settings |= {"LABELS": "env=staging", "PUSH_URL": "http://mock-target:8080/fast", "PUSH_KEY": KEY}
    stack.up()
    return stack


ASK = """
import http.client, sys
link = http.client.HTTPConnection("127.0.0.1", 8080)
link.request(*sys.argv[1:])
print(link.getresponse().read().decode())
"""


def target(stack: Stack, path: str, method: str = "GET") -> Any:
    """What the mock target answers, asked from the inside."""
    (container,) = stack.containers("mock-target")
    return json.loads(docker("exec", container, "/opt/venv/bin/python3", "-c", ASK, method, path))


def in_folder(stack: Stack, name: str) -> str:
    """A file of the newest run's folder."""
    run_id = stack.web("/locust-kit/status")["run"]["run_id"]
    (master,) = stack.containers("locust-master")
    return docker("exec", master, "cat", f"/var/lib/locust-kit/runs/{run_id}/{name}")


def ended(stack: Stack, run: Any) -> dict[str, Any]:
    """The groups of a run that has come to its end, of which its folder holds the mark."""
    said, _ = run.communicate(timeout=480)
    assert "Traceback" not in said

    def end() -> bool:
        try:
            return bool(in_folder(stack, "end.json"))
        except AssertionError:
            return False

    until(end, 20, "the run's end marker")
    found: dict[str, Any] = json.loads(in_folder(stack, "failure_groups.json"))
    return found


def classes(document: dict[str, Any]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for group in document["groups"]:
        counts[f"{group['class']} {group['detail']}".strip()] += group["count"]
    return dict(counts)


def test_each_failure_is_counted_once_and_as_the_target_did_it(shop: Stack) -> None:
    target(shop, "/_mock/reset", "POST")
    document = ended(shop, shop.start_run("USERS=20", "SPAWN_RATE=20", "RUN_TIME=12s"))
    done = target(shop, "/_mock/counts")["paths"]
    end = json.loads(in_folder(shop, "end.json"))
    found = classes(document)
    assert document["failures"] == end["failures"] == sum(found.values()) - document["task_errors"]
    assert document["requests"] == end["requests"]
    assert document["task_errors"] == found["task_error KeyError"] > 0
    assert found["server_error 503"] == done["/status/503"]
    assert found["client_error 404"] == done["/status/404"]
    assert found["connection_reset ECONNRESET"] == done["/reset"]
    assert found["incomplete_response"] == done["/truncate"]
    assert found["assertion 200"] == done["/wrong/success"]
    assert set(found) == {
        "server_error 503", "client_error 404", "connection_reset ECONNRESET", "incomplete_response",
        "assertion 200", "task_error KeyError",
    }  # fmt: skip


def test_groups_rows_and_table_tell_the_same(shop: Stack) -> None:
    document = json.loads(in_folder(shop, "failure_groups.json"))
    (wrong,) = (group for group in document["groups"] if group["class"] == "assertion")
    assert wrong["message"] == "no stock for order <n>"
    assert len({worker for group in document["groups"] for worker in group["workers"]}) == WORKERS
    assert sum(wrong["workers"].values()) == wrong["count"]
    assert wrong["examples"][0]["context"] == {"cart": "7"}
    assert json.loads(wrong["examples"][0]["body"])["success"] is False
    rows = [json.loads(line) for line in in_folder(shop, "failures.ndjson").splitlines()]
    table = list(csv.DictReader(io.StringIO(in_folder(shop, "failure_analysis.csv"))))
    everything = document["failures"] + document["task_errors"]
    assert len(rows) == len(table) == everything
    assert {row["user_class"] for row in rows} == {"Shopper", "Buyer"}
    assert Counter(row["class"] for row in table) == Counter(row["class"] for row in rows)


def test_a_run_is_called_by_its_labels_wherever_it_is_told_of(shop: Stack) -> None:
    run = json.loads(in_folder(shop, "run.json"))
    assert run["labels"] == shop.web("/locust-kit/status")["run"]["labels"] == {"env": "staging"}
    told = until(lambda: shop.snapshot()["run"], 20, "the run in the Snapshot")
    assert (told["run_id"], told["labels"]) == (run["run_id"], [{"name": "env", "value": "staging"}])
    with urllib.request.urlopen(f"http://127.0.0.1:{shop.monitor_port}/metrics", timeout=10) as answer:
        assert f'locust_run_info{{run_id="{run["run_id"]}",env="staging"}} 1' in answer.read().decode()


def test_the_sidecar_shows_the_plugins_groups(shop: Stack) -> None:
    groups = {group["failure_class"]: group for group in shop.snapshot()["failures"]}
    assert groups["assertion"]["error"] == "no stock for order <n>"
    assert groups["server_error"]["detail"] == "503"


def test_failures_are_pushed_and_the_key_is_in_no_log_and_no_setting(shop: Stack) -> None:
    everything = len(in_folder(shop, "failures.ndjson").splitlines())
    until(lambda: shop.web("/locust-kit/status")["push"]["sent_rows"] >= everything, 20, "the last batch")
    push = shop.web("/locust-kit/status")["push"]
    assert (push["waiting_rows"], push["dropped_rows"], push["refused_rows"]) == (0, 0, 0)
    for container in shop.containers():
        assert KEY not in log_of(container)
        assert KEY not in docker("inspect", container)


def test_each_worker_says_what_the_plugin_and_its_memory_are(shop: Stack) -> None:
    status = shop.web("/locust-kit/status")
    assert len(status["cost"]) == len(status["memory"]) == WORKERS
    for cost in status["cost"].values():
        assert cost["calls"] > 0
        assert 0 < cost["us_per_call"] < 1e6
    assert status["retries"] == {"count": 0}


def test_times_are_kept_good_and_failed_apart(shop: Stack) -> None:
    document = json.loads(in_folder(shop, "performance.json"))
    times = {endpoint["name"]: endpoint for endpoint in document["endpoints"]}
    assert (
        sum(one["good"]["count"] + one["failed"]["count"] for one in times.values())
        == shop.web("/stats/requests")["stats"][-1]["num_requests"]
    )
    assert times["/fast"]["failed"]["count"] == times["/unavailable"]["good"]["count"] == 0
    assert 0 < times["/fast"]["good"]["median_ms"] <= times["/fast"]["good"]["p99_ms"]


def test_the_console_says_it_at_the_end(shop: Stack) -> None:
    (master,) = shop.containers("locust-master")
    said = log_of(master)
    assert "Failure analysis: " in said
    assert "server_error         503" in said


def test_the_web_ui_has_the_tab_and_the_download(shop: Stack) -> None:
    answer = get_json(f"http://127.0.0.1:{shop.web_port}/stats/requests")
    (table,) = (
        extended_stat for extended_stat in answer["extended_stats"] if extended_stat["key"] == "failure_analysis"
    )
    assert {row["class"] for row in table["data"]} >= {"server_error", "task_error"}
    assert shop.web("/locust-kit/status")["failures"]["classes"]["server_error"] > 0


def test_the_count_is_locusts_own_while_workers_come_go_and_are_killed(shop: Stack) -> None:
    # Locust's master forgets its workers at the end of a run, for as long as the stop time-out.
    until(lambda: shop.worker_count() == WORKERS, 30, "the workers to be back")
    run = shop.start_run("SHAPE=UntilDone")
    until(lambda: shop.web("/stats/requests")["fail_ratio"] > 0, 30, "the first failures")
    assert shop.kit("scale", f"WORKERS={WORKERS + 1}").returncode == 0
    assert shop.kit("scale", f"WORKERS={WORKERS}").returncode == 0
    docker("kill", shop.containers("locust-worker")[0])
    assert shop.web("/stats/requests")["state"] in {"running", "spawning"}
    shop.end_shape()
    document = ended(shop, run)
    assert document["failures"] == json.loads(in_folder(shop, "end.json"))["failures"] > 0
