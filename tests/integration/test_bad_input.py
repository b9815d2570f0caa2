"""Bad input on a machine that has everything: one clear line, exit 2, nothing half-started."""

import http.server
import os
import threading
from pathlib import Path

import pytest

from tests.integration.stacks import Stack, docker

USER = """from locust import HttpUser, task
class U(HttpUser):
    {body}
    @task
    def t(self):
        self.client.get("/")
"""

CASES: dict[str, tuple[list[str], list[str]]] = {
    "workers-word": (["WORKERS=abc"], ["WORKERS", "abc"]),
    "workers-zero": (["WORKERS=0"], ["WORKERS", "0"]),
    "workers-negative": (["WORKERS=-1"], ["WORKERS", "-1"]),
    "workers-fraction": (["WORKERS=1.5"], ["WORKERS", "1.5"]),
    "memory-word": (["WORKER_MEMORY=lots"], ["WORKER_MEMORY", "lots"]),
    "host-without-scheme": (["HOST=shop.invalid"], ["HOST", "shop.invalid", "http://"]),
    "host-localhost": (["HOST=http://localhost:9000"], ["localhost", "host.docker.internal:9000"]),
    "locustfile-missing": (["LOCUSTFILE=nope.py"], ["nope.py"]),
    "typo": (["WORKRES=4"], ["WORKRES", "WORKERS"]),
}

FILES: dict[str, tuple[str, list[str]]] = {
    "syntax": ("x = 1\ndef broken(:\n", ["mine.py", "2"]),
    "import": (
        "\nimport nowhere_to_be_found\n" + USER.format(body="host = 'http://mock-target:8080'"),
        ["mine.py", "2", "nowhere_to_be_found"],
    ),
    "no-user": ("x = 1\n", ["mine.py", "User"]),
    "no-target": (USER.format(body="pass"), ["HOST"]),
    "program": (
        USER.format(body="host = 'http://mock-target:8080'")
        + "from locust.env import Environment\nEnvironment(user_classes=[]).create_local_runner().start(1, 1)\n",
        ["mine.py", "it is a program, not a locustfile"],
    ),
    "class-localhost": (USER.format(body="host = 'http://127.0.0.1:1'"), ["host.docker.internal:1"]),
}


def refused(stack: Stack, *arguments: str) -> str:
    """Run `up` with bad input; return its one line."""
    done = stack.kit("up", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert stack.containers() == []
    assert docker("network", "ls", "-q", "--filter", f"label=com.docker.compose.project={stack.project}") == ""
    return lines[0]


@pytest.mark.parametrize("case", CASES)
def test_a_bad_setting_is_named(stack: Stack, case: str) -> None:
    arguments, wanted = CASES[case]
    line = refused(stack, *arguments)
    assert all(part in line for part in wanted), line


@pytest.mark.parametrize("case", FILES)
def test_a_bad_locustfile_is_named(stack: Stack, tmp_path: Path, case: str) -> None:
    text, wanted = FILES[case]
    (tmp_path / "mine.py").write_text(text)
    tmp_path.chmod(0o755)
    line = refused(stack, f"LOCUSTFILES_DIR={tmp_path}", "LOCUSTFILE=mine.py")
    assert all(part in line for part in wanted), line


@pytest.mark.parametrize("line", ["Locust[otel]==2.40.0", "-r laptop.txt"])
def test_another_locust_in_the_requirements_is_named(stack: Stack, tmp_path: Path, line: str) -> None:
    (tmp_path / "mine.py").write_text(USER.format(body="host = 'http://mock-target:8080'"))
    (tmp_path / "requirements.txt").write_text(f"requests\n{line}\n")
    (tmp_path / "laptop.txt").write_text("gevent==23.9.1\nlocust<2.44\n")
    told = refused(stack, f"LOCUSTFILES_DIR={tmp_path}", "LOCUSTFILE=mine.py")
    assert "txt line 2" in told, told
    assert "expected: Locust 2." in told, told


def test_a_folder_that_is_closed_to_others_is_said_to_be_that(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(USER.format(body="host = 'http://mock-target:8080'"))
    tmp_path.chmod(0o700)
    assert "chmod o+rx" in refused(stack, f"LOCUSTFILES_DIR={tmp_path}", "LOCUSTFILE=mine.py")


def test_a_taken_port_names_who_has_it(stack: Stack) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", stack.web_port), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        line = refused(stack)
        server.shutdown()
    assert str(stack.web_port) in line
    assert f"pid {os.getpid()}" in line


def test_a_port_taken_by_another_stack_names_its_container(stack: Stack) -> None:
    name = "kit-test-port-holder"
    docker("rm", "-f", name, check=False)
    docker(
        "run",
        "-d",
        "--name",
        name,
        "--label",
        "io.locust-kit.test=1",
        "-p",
        f"127.0.0.1:{stack.web_port}:80",
        "--entrypoint",
        "sleep",
        "locust-kit/docker-proxy:local",
        "60",
    )
    try:
        assert name in refused(stack)
    finally:
        docker("rm", "-f", name, check=False)


@pytest.mark.parametrize("verb", ["scale", "reload", "run", "monitor"])
def test_a_verb_that_needs_a_stack_says_how_to_get_one(stack: Stack, verb: str) -> None:
    done = stack.kit(verb, "WORKERS=2") if verb == "scale" else stack.kit(verb)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "make up" in line


def test_without_an_engine_up_says_make_setup(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    done = stack.kit("up")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "make setup" in line
