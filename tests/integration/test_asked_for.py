"""A run is of the arguments, the test and the target that were asked for, or it is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from typing import Any

import pytest

from tests.integration.stacks import DOCKER_SECONDS, USERS_FILES, Stack, docker, readable, until
from tests.paths import ROOT

KEY = "key-of-the-shop-which-nobody-reads"
COUNTS = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/_mock/counts').read().decode())"
DEFAULTS = {"tenant": "blue", "pace": 0.5, "shop_key": "***", "parts": ["front"], "careful": False}


@pytest.fixture(scope="module")
def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    folder = tmp_path_factory.mktemp("asked") / "files"
    shutil.copytree(USERS_FILES / "asked", folder)
    readable(folder)
    (folder / "locustfile.py").rename(folder / "tenants.py")
    stack.up("MOCK=1", "WORKERS=2", f"LOCUSTFILES_DIR={folder}", "LOCUSTFILE=tenants.py")
    return stack


def run(shop: Stack, *words: str) -> tuple[str, dict[str, Any]]:
    """A run of five seconds that passes; what it printed, and its report."""
    done = shop.kit("run", "USERS=4", "SPAWN_RATE=4", "RUN_TIME=5s", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    newest = max(shop.reports.glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    report: dict[str, Any] = json.loads(newest.read_text())
    return done.stdout, report


def error(shop: Stack, verb: str, *words: str) -> str:
    """What a verb says that refuses."""
    done = shop.kit(verb, *words)
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stderr


def names(report: dict[str, Any]) -> set[str]:
    return {row["name"] for row in report["endpoints"]}


def paths(shop: Stack) -> dict[str, int]:
    (mock,) = shop.containers("mock-target")
    counted: dict[str, int] = json.loads(docker("exec", mock, "python3", "-c", COUNTS))["paths"]
    return counted


def workers(shop: Stack) -> int:
    """How many workers the master counts; 0 while it starts."""
    try:
        return shop.worker_count()
    except OSError:
        return 0


def plain_compose(shop: Stack, *words: str) -> None:
    """`docker compose` in the checkout, with the stack's name and ports in the environment and nothing else."""
    own = {"PROJECT": shop.project, "WEB_PORT": str(shop.web_port), "MONITOR_PORT": str(shop.monitor_port)}
    subprocess.run(
        ["docker", "compose", *words],
        cwd=ROOT,
        env={**shop.environ(), **own},
        capture_output=True,
        timeout=DOCKER_SECONDS,
        check=True,
    )


def test_what_a_run_gives_reaches_every_user_and_stays_a_secret_where_it_is_one(shop: Stack) -> None:
    before = paths(shop)
    given = ("tenant=green", "pace=0.2", f"shop-key={KEY}", "parts=front,cart", "careful=yes")
    printed, report = run(shop, *given)
    name = "of green each 0.2 carefully"
    assert names(report) == {f"/front {name}", f"/cart {name}"}
    assert report["arguments"] == {
        "tenant": "green", "pace": 0.2, "shop_key": "***", "parts": ["front", "cart"], "careful": True,
    }  # fmt: skip
    assert "with tenant=green, pace=0.2, shop_key=***, parts=front,cart, careful=true" in printed
    assert paths(shop).get("/echo/blue", 0) == before.get("/echo/blue", 0)
    seen = [printed, *(docker("inspect", container) for container in shop.containers())]
    seen += [docker("logs", container) for container in shop.containers()]
    for volume in ("runs", "ledger"):
        mount = f"{shop.project}_{volume}:/v:ro"
        search = ("run", "--rm", "--network", "none", "-v", mount, "--entrypoint", "grep", "locust-kit/monitor:local")
        seen.append(docker(*search, "-rl", KEY, "/v", check=False))
        assert not seen[-1], f"{volume}: {seen[-1]}"
    assert not any(KEY in text for text in seen)
    assert not [path for path in shop.reports.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_a_run_without_arguments_has_the_defaults_whatever_the_page_sent(shop: Stack) -> None:
    before = shop.newest_run()
    form = {"user_count": 2, "spawn_rate": 2, "run_time": "4s", "tenant": "green", "host": "http://mock-target:8080"}
    address = f"http://127.0.0.1:{shop.web_port}/swarm"
    with urllib.request.urlopen(address, urllib.parse.urlencode(form).encode(), timeout=20) as answer:
        assert json.loads(answer.read())["success"]
    # Locust answers before it begins. The state stays the last run's "stopped" until after the run has its id.
    until(lambda: shop.newest_run() != before, 30, "the begin of the page's run")
    of_page = shop.ended(shop.newest_run())
    assert (of_page["arguments"]["tenant"], names(of_page)) == ("green", {"/front of green each 0.5"})
    _, report = run(shop)
    assert (report["arguments"], names(report)) == (DEFAULTS, {"/front of blue each 0.5"})
    compared = shop.kit("report", "RUN=last", f"BASELINE={of_page['run_id']}").stdout
    assert "Different arguments: tenant green → blue" in compared


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("tenant=purple", "tenant is 'purple'; expected: blue or green"),
        ("pace=soon", "pace is 'soon'; expected: a number"),
        ("ARGS=--tenant red", "tenant is 'red'; expected: blue or green"),
        (
            "colour=red",
            "not a setting, and not an argument of this locustfile, which has tenant, pace, shop_key, parts, careful",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(shop: Stack, word: str, line: str) -> None:
    before = shop.web("/locust-kit/status")["run"]
    assert line in error(shop, "run", word)
    assert shop.web("/locust-kit/status")["run"] == before


def test_make_passes_arguments_on(shop: Stack) -> None:
    own = {"PROJECT": shop.project, "WEB_PORT": shop.web_port, "REPORTS_DIR": shop.reports}
    own["MONITOR_PORT"] = shop.monitor_port
    words = [f"{name}={value}" for name, value in own.items()]
    done = subprocess.run(
        ["make", "-C", str(ROOT), "run", *words, "RUN_TIME=4s", "tenant=green", "colour=red"],
        env=shop.environ(),
        capture_output=True,
        text=True,
        timeout=DOCKER_SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert "colour=red: not a setting, and not an argument of this locustfile" in done.stderr


def test_plain_compose_is_not_taken_for_the_stack_that_up_made(shop: Stack) -> None:
    plain_compose(shop, "up", "--detach", "--no-build", "--scale", "locust-worker=3")
    wanted = "LOCUSTFILE is locustfile.py, `up` set tenants.py"
    refused = error(shop, "run", "RUN_TIME=5s")
    assert wanted in refused
    assert "HOST is the classes' own, `up` set http://mock-target:8080" in refused
    assert wanted in error(shop, "scale", "WORKERS=2")
    assert wanted in shop.kit("ps").stdout
    until(lambda: wanted in shop.kit("monitor", "ONCE=1").stdout, 30, "the view to say so")
    until(lambda: workers(shop) == 3, 60, "the workers of plain Compose")
    diagnosis = json.loads(shop.kit("diagnose", "--json").stdout)
    assert diagnosis["summary"]["root_cause"] == "made-by-another-command"
    (command,) = diagnosis["findings"][0]["fix"]["commands"]
    assert "WORKERS=2" in command
    mended = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=shop.environ(), capture_output=True, text=True, timeout=600, check=False
    )
    assert mended.returncode == 0, mended.stderr
    assert names(run(shop)[1]) == {"/front of blue each 0.5"}


def test_a_worker_less_is_said_and_a_stack_that_was_stopped_is_not_run(shop: Stack) -> None:
    plain_compose(shop, "up", "--detach", "--no-build", "--no-recreate", "--scale", "locust-worker=1")
    until(lambda: workers(shop) == 1, 60, "the worker to leave")
    assert "1 of 2 workers registered; `up` set 2" in run(shop)[0]
    plain_compose(shop, "restart")
    until(lambda: workers(shop) == 1, 60, "the worker to be back")
    run(shop)
    plain_compose(shop, "stop")
    down = f"the stack {shop.project!r} is not running → make up PROJECT={shop.project}"
    assert down in error(shop, "run")
    assert down in error(shop, "ps")
    assert json.loads(shop.kit("diagnose", "--json").stdout)["summary"]["root_cause"] == "stack-down"
