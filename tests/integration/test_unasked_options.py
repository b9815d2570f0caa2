"""What Locust reads unasked, on a real stack: no load that nobody asked for, processes counted, `try` where it says."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path

import pytest

from tests.integration.stacks import Stack, docker, log_of, until

VISITOR = """\
from locust import HttpUser, constant, task


class Visitor(HttpUser):
    wait_time = constant(0.3)

    @task
    def look(self):
        self.client.get("/api/health")
"""
# Of the Locust processes in a container: the parent has the lowest id, and waits for the others.
KILL_ONE = """\
import os, pathlib
def is_locust(process):
    is_other = process.name.isdigit() and int(process.name) != os.getpid()
    return is_other and b"bin/locust" in (process / "cmdline").read_bytes()
os.kill(max(int(process.name) for process in pathlib.Path("/proc").iterdir() if is_locust(process)), 9)
"""
AT_THE_MOCK = "http://mock-target:8080"
FIRING = {
    "headless": (
        "locust.conf",
        "users = 20\nheadless = true\nrun-time = 20s\n",
        2,
    ),
    "toml": ("pyproject.toml", '[tool.locust]\nusers = 20\nheadless = true\nrun-time = "20s"\n', 3),
    "autostart": ("locust.conf", "users = 20\nrun-time = 20s\nautostart = true\n", 3),
}


def folder(place: Path, **files: str) -> Path:
    """A folder with the locustfile and these files."""
    place.mkdir()
    place.chmod(0o755)
    for name, text in {"locustfile.py": VISITOR, **files}.items():
        (place / name).write_text(text)
    return place


def state_of(container: str) -> str:
    """The state that a Locust shows on its page; "" while it has none yet."""
    code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8089/stats/requests').read().decode())"
    figures = docker("exec", container, "python3", "-c", code, check=False)
    return str(json.loads(figures)["state"]) if figures.startswith("{") else ""


def asked(stack: Stack) -> int:
    """How many requests of a locustfile the mock target has counted."""
    (target,) = stack.containers("mock-target")
    code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/_mock/counts').read().decode())"
    counts: dict[str, int] = json.loads(docker("exec", target, "python3", "-c", code))["paths"]
    return counts.get("/api/health", 0)


@pytest.mark.parametrize("kind", FIRING)
def test_a_file_that_would_fire_by_itself_is_refused_before_anything_starts(
    kind: str, stack: Stack, tmp_path: Path
) -> None:
    name, text, line = FIRING[kind]
    done = stack.kit("up", "WORKERS=2", "MOCK=1", f"LOCUSTFILES_DIR={folder(tmp_path / 'x', **{name: text})}")
    assert done.returncode == 2
    word = "autostart" if kind == "autostart" else "headless"
    assert done.stderr.startswith(f"kit up: {name}:{line} {word} starts a load by itself")
    assert "→ make run USERS=20 RUN_TIME=20s" in done.stderr.splitlines()[0]
    assert stack.containers() == []


@pytest.fixture(scope="module")
def two_each(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A stack of two worker containers with two Locust processes each, as .env beside the locustfile says."""
    env = f"LOCUST_HOST={AT_THE_MOCK}\nLOCUST_PROCESSES=2\nLOCUST_USERS=8\n"
    place = folder(tmp_path_factory.mktemp("files") / "two", **{".env": env})
    done = stack.up("WORKERS=2", f"LOCUSTFILES_DIR={place}")
    assert "4 workers registered" in done.stdout
    assert "4 workers in 2 containers" in done.stdout
    assert "USERS=8 (two/.env:3 LOCUST_USERS)" in done.stdout
    return stack


def test_the_image_starts_no_load_by_itself_even_where_nobody_refused_it(two_each: Stack, tmp_path: Path) -> None:
    before = asked(two_each)
    image = two_each.inspect("locust-master")[0]["Image"]
    for kind, (name, text, line) in FIRING.items():
        place = folder(tmp_path / kind, **{name: text})
        started = docker(
            *("run", "--detach", "--label", f"com.docker.compose.project={two_each.project}"),
            *("--network", f"{two_each.project}_default", "--mount", f"type=bind,source={place},target=/mnt/locust,ro"),
            *("--tmpfs", "/tmp:mode=1777", "--tmpfs", "/home/locust:uid=10001,gid=10001"),  # noqa: S108  the container's
            *("--env", "LOCUST_AUTOSTART=1", "--env", f"LOCUST_HOST={AT_THE_MOCK}"),
            image,
        )
        try:
            until(partial(state_of, started), 30, "the page")
            log = log_of(started)
            assert f"locust-kit: ignored {name}:{line} " in log
            assert "locust-kit: ignored LOCUST_AUTOSTART=1" in log
            time.sleep(1)  # a load of its own would begin right after the page
            assert state_of(started) == "ready"
        finally:
            docker("rm", "--force", started, check=False)
    assert asked(two_each) == before


@pytest.mark.long
def test_processes_are_workers_and_one_that_was_killed_is_missed_until_it_is_back(two_each: Stack) -> None:
    run = ("SPAWN_RATE=8", "RUN_TIME=6s")
    whole = two_each.kit("run", *run)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert "Run of 8 users" in whole.stdout
    assert "USERS=8 (two/.env:3 LOCUST_USERS)" in whole.stdout
    name = two_each.inspect("locust-worker")[0]["Name"].strip("/")
    docker("exec", name, "python3", "-c", KILL_ONE)
    until(lambda: two_each.worker_count() == 3, 30, "the master to miss the process")
    until(lambda: two_each.snapshot()["locust"]["workers_expected"] == 4, 30, "the monitor to expect four")
    lost = "one of 2 processes of locust-worker-"
    until(lambda: any(i["text"].startswith(lost) for i in two_each.snapshot()["incidents"]), 30, "the loss to be told")
    short = two_each.kit("run", *run)
    assert short.returncode == 4, short.stdout + short.stderr
    assert "warning: 3 of 4 workers registered, 2 in each container → make diagnose" in short.stdout
    assert "workers were missing: 3 of 4 were connected to the master" in short.stdout
    diagnosis = two_each.kit("diagnose")
    assert (diagnosis.returncode, "All is well" in diagnosis.stdout) == (1, False)
    assert f"docker restart {name}" in diagnosis.stdout
    docker("restart", name)
    until(lambda: two_each.worker_count() == 4, 60, "both processes to be back")


@pytest.mark.parametrize("client", ["HttpUser", "FastHttpUser"])
def test_try_sends_a_class_without_a_host_where_it_is_told(client: str, two_each: Stack, tmp_path: Path) -> None:
    place = folder(tmp_path / "none", **{"locustfile.py": VISITOR.replace("HttpUser", client)})
    done = two_each.kit("try", f"HOST={AT_THE_MOCK}", f"LOCUSTFILES_DIR={place}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Visitor → {AT_THE_MOCK}" in done.stdout
    assert "1 request, 0 failed" in done.stdout


def test_try_without_any_host_is_one_line(tmp_path: Path, two_each: Stack) -> None:
    alone = Stack(f"{two_each.project}-alone", tmp_path, settings={"LOCUSTFILES_DIR": str(folder(tmp_path / "none"))})
    done = alone.kit("try")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "class Visitor has no host, and HOST is not set" in line


def test_what_locust_ignores_is_named_at_up(two_each: Stack, tmp_path: Path) -> None:
    text = f'{VISITOR}        self.client.get("/status/500", catch_response=True)\n'
    place = folder(tmp_path / "unseen", **{"locustfile.py": text})
    done = two_each.kit("try", f"HOST={AT_THE_MOCK}", f"LOCUSTFILES_DIR={place}")
    assert done.returncode == 1
    assert "warning: locustfile.py line 10: catch_response=True without `with`" in done.stdout
    assert "FAIL GET /status/500: answered 500, but was never reported" in done.stdout
