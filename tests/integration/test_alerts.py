"""A real webhook receiver, in a container of its own, is told of a real OOM kill."""

import json
from collections.abc import Iterator

import pytest

from tests.integration.stacks import Stack, docker, until
from tests.integration.watched_project import kill_child, watched

pytestmark = pytest.mark.kills

SHOP = "kit-test-alerts-shop"
RECEIVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.path, self.rfile.read(int(self.headers["content-length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

HTTPServer(("", 8000), Hook).serve_forever()
"""


@pytest.fixture
def receiver(stack: Stack) -> Iterator[str]:
    """A webhook's receiver in the stack's own network; yields the name of its container."""
    name = f"{SHOP}-receiver"
    docker("rm", "-f", name, check=False)
    docker(
        "run", "--detach", "--name", name, "--label", "io.locust-kit.test=alerts",
        "--network", f"{stack.project}_default", "--network-alias", "receiver", "--init",
        "--entrypoint", "python3", "locust-kit/monitor:local", "-c", RECEIVER,
    )  # fmt: skip
    yield name
    docker("rm", "-f", name, check=False)


@pytest.fixture
def watching(stack: Stack) -> Stack:
    """A stack that knows whom to tell."""
    stack.up("WORKERS=1", "MOCK=1", f"WATCH_PROJECT={SHOP}", "ALERT_URLS=http://receiver:8000/hook?token=a%20b")
    return stack


def test_an_oom_kill_reaches_the_receiver(watching: Stack, receiver: str) -> None:
    with watched(SHOP) as container_id:
        until(
            lambda: any(container["project"] == SHOP for container in watching.snapshot()["containers"]),
            30,
            "it to be watched",
        )
        kill_child(container_id)
        said = until(lambda: docker("logs", receiver), 60, "the webhook to be called")
    path, _, body = said.partition(" ")
    assert path == "/hook?token=a+b"
    message = json.loads(body)
    assert message["type"] == "failure"
    assert message["title"] == f"[{watching.project}] 1 OOM kill"
    assert "OOM kill" in message["message"]
    assert f"{SHOP}-web-1" in message["message"]
    assert "the main process survived" in message["message"]
