"""A worker that the OOM killer takes during a run: every view says which one, its memory, and how many users went."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from tests.integration.stacks import SLOWER, USERS_FILES, Stack, docker, get_json, until
from tests.integration.storm.truth import nanoseconds

pytestmark = pytest.mark.kills

USERS, WORKERS = 20, 2
LIMIT_BYTES = 128 * 1024 * 1024
PATIENCE_SECONDS = 10.0 * SLOWER
PROMISED_SECONDS = 3.0


@dataclass(frozen=True)
class Told:
    """What a view said when it first named the kill, and how long after it that was."""

    text: str
    seconds: float


@dataclass(frozen=True)
class Loss:
    """The worker that was lost: its container, its id at the master, and what each view said of it."""

    container_id: str
    name: str
    worker: str
    told: dict[str, Told]


@pytest.fixture(scope="module")
def loss(stack: Stack) -> Iterator[Loss]:
    """One worker of a real run, killed by the kernel while every view is being watched."""
    stack.settings = {"WORKER_MEMORY": "128M", "WORKER_MEMORY_RESERVATION": "64M"}
    stack.up(f"WORKERS={WORKERS}", "MOCK=1", f"LOCUSTFILES_DIR={USERS_FILES / 'hungry'}")
    run = stack.start_run(f"USERS={USERS}", f"SPAWN_RATE={USERS}", "RUN_TIME=120s")
    try:
        until(lambda: stack.web("/stats/requests")["user_count"] == USERS, 30, "all users")
        until(lambda: workers_users(stack) == [USERS // WORKERS] * WORKERS, 30, "the sidecar to know who has them")
        container_id = stack.containers("locust-worker")[0]
        worker = next(
            worker["id"]
            for worker in stack.web("/stats/requests")["workers"]
            if worker["id"].startswith(container_id[:12])
        )
        name = docker("inspect", "--format", "{{.Name}}", container_id).removeprefix("/")
        docker("exec", container_id, "touch", "/tmp/eat")  # noqa: S108  inside the container
        yield Loss(container_id, name, worker, watch(stack, container_id, name))
    finally:
        run.kill()
        run.communicate(timeout=240)


def workers_users(stack: Stack) -> list[int]:
    """How many users each worker has, as the sidecar knows."""
    locust = stack.snapshot()["locust"]
    return [worker["users"] for worker in locust["workers"]] if locust else []


def watch(stack: Stack, container_id: str, name: str) -> dict[str, Told]:
    """Ask every view again and again until it names the kill."""
    short = name.removeprefix(f"{stack.project}-")
    incidents = f"http://127.0.0.1:{stack.monitor_port}/api/incidents"

    def incident_in(documents: list[dict[str, object]]) -> str:
        found = [
            document
            for document in documents
            if (document["kind"], document["container_id"]) == ("oom_kill", container_id)
        ]
        return json.dumps(found[0]) if found and found[0]["users_lost"] else ""

    def line_in(text: str) -> str:
        """Return the line of the kill, not that of the worker which the master then misses."""
        lines = (line for line in text.splitlines() if short in line and "was lost" not in line)
        return next((line for line in lines if "OOM" in line and "user" in line), "")

    views: dict[str, Callable[[], str]] = {
        "snapshot": lambda: incident_in(stack.snapshot()["incidents"]),
        "incidents": lambda: incident_in(get_json(incidents)["incidents"]),
        "kit incidents": lambda: line_in(stack.kit("incidents").stdout),
        "kit monitor": lambda: line_in(stack.kit("monitor", "ONCE=1").stdout),
        "locust": lambda: line_in(web_rows(stack)),
    }
    seen: dict[str, tuple[str, int]] = {}

    def look(view: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError):
                if text := views[view]():
                    seen[view] = (text, time.time_ns())
                    return
            time.sleep(0.2)

    threads = [threading.Thread(target=look, args=(view,)) for view in views]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    happened = nanoseconds(json.loads(seen["incidents"][0])["at"]) if "incidents" in seen else 0
    return {view: Told(text, (when - happened) / 1e9) for view, (text, when) in seen.items()}


def web_rows(stack: Stack) -> str:
    """The rows of the tab in Locust's own web UI, one a line."""
    extended = stack.web("/stats/requests").get("extended_stats", [])
    return "\n".join(json.dumps(row) for table in extended for row in table["data"])


@pytest.mark.parametrize("view", ["snapshot", "incidents"])
def test_the_documents_say_who_how_much_and_how_many(loss: Loss, view: str) -> None:
    document = json.loads(loss.told[view].text)
    assert document["service"] == "locust-worker"
    assert document["container"] == loss.name
    assert document["workers"] == [loss.worker]
    assert document["users_lost"] == USERS // WORKERS
    assert document["memory_limit_bytes"] == LIMIT_BYTES
    assert LIMIT_BYTES / 4 < document["memory_at_death_bytes"] <= LIMIT_BYTES


@pytest.mark.parametrize("view", ["kit incidents", "kit monitor", "locust"])
def test_each_view_for_people_says_so_in_one_line(loss: Loss, view: str) -> None:
    text = loss.told[view].text
    assert "MiB" in text
    assert f"{USERS // WORKERS} users" in text


def test_it_is_one_kill_and_the_master_misses_one_worker(loss: Loss, stack: Stack) -> None:
    document = get_json(f"http://127.0.0.1:{stack.monitor_port}/api/incidents")
    kills = [incident for incident in document["incidents"] if incident["kind"] == "oom_kill"]
    assert [(kill["container_id"], kill["count"]) for kill in kills] == [(loss.container_id, 1)]

    def lost() -> list[str]:
        now = get_json(f"http://127.0.0.1:{stack.monitor_port}/api/incidents")["incidents"]
        return [worker for one in now if one["kind"] == "worker_lost" for worker in one["workers"]]

    assert until(lost, PATIENCE_SECONDS, "the worker to be told as lost") == [loss.worker]


@pytest.mark.long  # a span of time asserted: for a machine that does nothing else
def test_every_view_says_so_within_three_seconds(loss: Loss) -> None:
    print({view: round(told.seconds, 2) for view, told in loss.told.items()})
    assert max(told.seconds for told in loss.told.values()) <= PROMISED_SECONDS
