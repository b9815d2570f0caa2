"""Two faults at once; an engine that limps; a machine without Docker; a bundle without secrets."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.faults.engines import limping_engine, socket_at
from tests.faults.matrix import tighten
from tests.faults.world import Look, World
from tests.integration.stacks import docker

PLANTED = {
    "environment": "planted-in-the-environment-7f3a",
    "url": "planted-in-the-url-91bc",
    "header": "planted-in-a-header-c0de",
    "query": "planted-in-a-query-55aa",
}


@pytest.fixture
def stack(world: World) -> World:
    world.reset_files()
    world.well()
    return world


@pytest.mark.kills
def test_two_faults_are_two_findings_in_the_order_of_dependency(stack: World) -> None:
    stack.tell("locust-worker", LOCUST_MASTER_NODE_HOST="locust-mastr")
    tighten(stack, stack.worker(2))
    diagnosis = stack.diagnose()
    assert [finding["slug"] for finding in diagnosis["findings"]] == [
        "worker-oom-killed",
        "master-name-unresolvable",
        "made-by-another-command",  # as they are: this test's own Compose gave them name and limit
    ]
    assert diagnosis["summary"]["root_cause"] == "worker-oom-killed"


def test_of_a_master_that_was_killed_it_is_said_who_asked_and_that_it_stays_down(stack: World) -> None:
    docker("kill", stack.master)
    (finding,) = stack.diagnose()["findings"]
    assert finding["slug"] == "master-exited"
    assert any(piece["seen"] == "Docker was asked to kill it (signal 9)" for piece in finding["evidence"])
    assert "stays down" in finding["cause"]


@pytest.mark.parametrize("hangs", ["/logs", "/exec", "/networks", "/stats", "/json"])
def test_an_engine_that_hangs_on_some_questions_gets_an_answer_all_the_same(stack: World, hangs: str) -> None:
    with limping_engine(stack.folder / "limping.sock", hangs) as path:
        diagnosis = stack.diagnose(look=Look({"DOCKER_HOST": f"unix://{path}"}), seconds=30)
    assert diagnosis["checks"]
    assert diagnosis["summary"]["unknown"] > 0
    assert diagnosis["exit"] in (0, 1)


def test_a_silent_engine_gets_an_answer(stack: World) -> None:
    with socket_at(stack.folder / "silent.sock") as path:
        diagnosis = stack.diagnose(look=Look({"DOCKER_HOST": f"unix://{path}"}), seconds=30)
    assert diagnosis["summary"]["root_cause"] == "docker-unreachable"


def test_a_machine_without_docker(stack: World) -> None:
    """Its PATH has everything but the docker commands, and there is no socket."""
    bare = stack.folder / "bin"
    shutil.rmtree(bare, ignore_errors=True)
    bare.mkdir()
    for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for program in Path(folder).iterdir():
            if not program.name.startswith("docker") and not (bare / program.name).exists():
                (bare / program.name).symlink_to(program)
    without_run = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh")
    diagnosis = stack.diagnose(look=Look({"PATH": str(bare)}, without_run))
    assert (diagnosis["summary"]["root_cause"], diagnosis["exit"]) == ("docker-unreachable", 1)
    assert diagnosis["findings"][0]["fix"]["commands"][0] == "make setup"


def test_a_bundle_of_a_real_stack_holds_no_secret(stack: World, tmp_path: Path) -> None:
    (stack.files / "locustfile.py").write_text(
        "import os\nfrom locust import HttpUser, task\n"
        f"print('Authorization: Bearer {PLANTED['header']}')\n"
        f"print('GET /pay?token={PLANTED['query']} failed')\n"
        "print('env is', os.environ['SHOP_PASSWORD'])\n"
        "class U(HttpUser):\n    @task\n    def t(self):\n        self.client.get('/')\n"
    )
    variables = {"SHOP_PASSWORD": PLANTED["environment"], "KIT_HOST": f"http://ann:{PLANTED['url']}@mock-target:8080"}
    for_all = "".join(
        f"  {service}:\n    environment: {json.dumps(variables)}\n" for service in ("locust-master", "locust-worker")
    )
    stack.compose(f"services:\n{for_all}")
    stack.wait_for_line("GET /pay", stack.master, *stack.workers)
    path = tmp_path / "bug.tar.gz"
    stack.diagnose("--bundle", str(path))
    with tarfile.open(path) as archive:
        texts = {
            member.name: (archive.extractfile(member) or path.open("rb")).read().decode()
            for member in archive.getmembers()
            if member.isfile()
        }
    assert any(name.endswith("evidence.json") for name in texts)
    assert any("GET /pay" in text for text in texts.values())  # the log is there
    leaks = [(place, name) for place, secret in PLANTED.items() for name, text in texts.items() if secret in text]
    assert leaks == []
