"""OpenTelemetry in a real Locust: what a collector gets, what the target is told, and what the failures say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.paths import ROOT

LOCUSTFILE = """
import gevent
from locust import FastHttpUser, HttpUser, constant, events

def all_of_it(user):
    user.client.get("/fail/7?a=1", name="/fail/[id]")
    with user.client.get("/held", catch_response=True) as answer:
        user.client.get("/within")
        answer.failure("no stock")
    user.client.get("http://nothing.invalid/", name="gone", context={"user": type(user).__name__})

class Fast(FastHttpUser):
    wait_time, tasks = constant(0.05), [all_of_it]

class Plain(HttpUser):
    wait_time, tasks = constant(0.05), [all_of_it]

gone = set()

@events.request.add_listener
def end_when_both_have_done_all_of_it(name, context, **_):
    if name == "gone":
        gone.add(context["user"])

@events.init.add_listener
def watch(runner, **_):
    def wait():
        while len(gone) < 2:
            gevent.sleep(0.05)
        runner.quit()
    gevent.spawn(wait)
"""
PLUGIN = ROOT / "docker" / "locust" / "locust_kit_plugin.py"


@dataclass
class World:
    """A target that is its own collector: what it was asked, by path, and what it was told of spans."""

    url: str
    asked: list[tuple[str, str]] = field(default_factory=list)
    posted: list[bytes] = field(default_factory=list)

    def spans(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Yield the trace, the name and the resource of each span."""
        for body in self.posted:
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                about = {pair.key: pair.value.string_value for pair in of_resource.resource.attributes}
                for scope in of_resource.scope_spans:
                    yield from ((span.trace_id.hex(), span.name, about) for span in scope.spans)


@contextmanager
def served() -> Iterator[World]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            world.asked.append((self.path, self.headers.get("traceparent") or ""))
            self._answer(503 if self.path.startswith("/fail") else 200)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                world.posted.append(body)
            self._answer(200)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        world = World(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield world
        server.shutdown()


def run(folder: Path, url: str, **environ: str) -> tuple[str, list[dict[str, Any]]]:
    """Run Locust until both clients have done all of it; return its log, and the failures in the run's folder."""
    (folder / "locustfile.py").write_text(LOCUSTFILE)
    command = [sys.executable, "-m", "locust", "-f", f"locustfile.py,{PLUGIN}", "--headless", "--only-summary"]
    done = subprocess.run(
        [*command, "-u", "4", "-r", "4", "-t", "90", "-H", url],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "locustfiles"), "KIT_RUNS_DIR": str(folder / "runs"), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    (rows,) = (folder / "runs").glob("*/failures.ndjson")
    return done.stderr, [json.loads(line) for line in rows.read_text().splitlines()]


def test_each_request_of_both_clients_is_a_span_of_the_run_and_each_failure_names_its_own_trace(tmp_path: Path) -> None:
    with served() as world:
        _, rows = run(
            tmp_path,
            world.url,
            LOCUST_ENABLE_OPENTELEMETRY="1",
            OTEL_EXPORTER_OTLP_ENDPOINT=world.url,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            KIT_LABELS="env=staging",
        )
    spans = list(world.spans())
    (folder,) = (tmp_path / "runs").iterdir()
    assert {(about["run_id"], about["env"]) for _, _, about in spans} == {(folder.name, "staging")}
    names = {trace: name for trace, name, _ in spans}
    seen = {told.split("-")[1]: path for path, told in world.asked}
    assert len(seen) == len(world.asked), "a trace of its own for each request"
    kinds: Counter[tuple[str, str]] = Counter()
    for row in rows:
        trace = row["trace_id"]
        assert names[trace] == f"GET {row['name']}"
        assert seen.get(trace, "gone") == {"/fail/[id]": "/fail/7?a=1"}.get(row["name"], row["name"])
        kinds[row["name"], row.get("user_class", "")] += 1
    assert {(name, user) for name in ("/fail/[id]", "/held", "gone") for user in ("Fast", "Plain")} <= set(kinds)


def test_without_it_nothing_of_opentelemetry_is_loaded_or_sent(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("raise ImportError('not to be loaded')")
    with served() as world:
        _, rows = run(tmp_path, world.url)
    assert rows
    assert not any("trace_id" in row for row in rows)
    assert {told for _, told in world.asked} == {""}


def test_switched_on_without_the_packages_the_run_goes_on_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("raise ImportError('not there')")
    with served() as world:
        log, rows = run(tmp_path, world.url, LOCUST_ENABLE_OPENTELEMETRY="1")
    assert rows
    assert "OpenTelemetry SDK is not installed" in log
    assert "no traces of FastHttpUser" in log


def test_the_check_of_the_locustfile_refuses_what_the_image_cannot_do(tmp_path: Path) -> None:
    (tmp_path / "locustfile.py").write_text(LOCUSTFILE)
    text = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); from locust_kit import check, user_code;"
        "user_code.USER_FILES = pathlib.Path.cwd(); sys.exit(check.main())"
    )
    environ = {"PATH": os.environ["PATH"], "LOCUST_LOCUSTFILE": str(tmp_path / "locustfile.py")}

    def checked(**more: str) -> dict[str, Any]:
        command = [sys.executable, "-c", text, str(ROOT / "locustfiles")]
        done = subprocess.run(
            command, cwd=tmp_path, env={**environ, **more}, capture_output=True, text=True, check=False
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    assert checked()["passed"]
    assert checked(LOCUST_ENABLE_OPENTELEMETRY="1", OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")["passed"]
    (problem,) = checked(LOCUST_ENABLE_OPENTELEMETRY="1")["problems"]  # Locust's own protocol is gRPC
    assert "No module named 'opentelemetry.exporter.otlp.proto.grpc'" in problem["text"]
    assert "OTEL=http://<collector>:4318" in problem["fix"]
