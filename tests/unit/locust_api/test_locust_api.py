"""The master's web API as it is, and as it can go wrong, over a real connection."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sidecar.locust_api.answers import parse_plugin, parse_stats
from sidecar.locust_api.client import LocustApi
from sidecar.locust_api.connection import Credentials, MasterGuardedError, login_form, must_verify, tls_context
from sidecar.model.snapshot import RunLabel

STATS: dict[str, Any] = {
    "stats": [
        {"name": "/a", "num_requests": 10},
        {
            "name": "Aggregated", "method": "", "num_requests": 10, "median_response_time": 7,
            "response_time_percentile_0.95": 90.0,
        },
    ],
    "errors": [
        {"method": "GET", "name": "/a", "error": "ConnectionRefusedError(111)", "occurrences": 3,
         "first_seen": 1795000000.5, "last_seen": None},
        {"method": "POST", "name": "/b", "error": "HTTPError('500')", "occurrences": 40},
    ],
    "total_rps": 9.0, "current_rps": 12.5, "total_fail_per_sec": 0.0, "current_fail_per_sec": 1.5,
    "fail_ratio": 0.12,
    "current_response_time_percentiles": {"response_time_percentile_0.5": 11, "response_time_percentile_0.95": 48},
    "state": "running", "user_count": 200, "worker_count": 1,
    "workers": [
        {"id": "f26e19abb9b8_01", "state": "running", "user_count": 200, "cpu_usage": 33.3, "memory_usage": 5},
        {"id": "f26e19abb9b9_02", "state": "missing", "user_count": 0, "cpu_usage": 0, "memory_usage": 0},
    ],
}  # fmt: skip
PLUGIN: dict[str, Any] = {
    "schema_version": 1,
    "run": {"run_id": "20261122T150405Z-ab12", "state": "running", "started_at": "2026-11-22T15:04:05Z"},
    "locustfile": {"sha256": "x", "files": ["locustfile.py"], "changed_on_disk": []},
    "workers": {"f26e19abb9b8_01": {"sha256": "y", "changed_on_disk": ["flows/login.py"]}},
}  # fmt: skip


LOGIN_PAGE = b"""<!DOCTYPE html><script>
    window.authArgs = {"error": null, "username_password_callback": "/enter?from=login"}
</script>"""


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


class PretendMaster(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.answers = {
            "/stats/requests": Answer(body=json.dumps(STATS).encode()),
            "/locust-kit/status": Answer(body=json.dumps(PLUGIN).encode()),
        }
        self.connections = 0
        self.password = ""
        self.form: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: PretendMaster
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.server.password and self.path != "/login" and "session=in" not in self.headers.get("Cookie", ""):
            self._send(Answer(302, b"", {"Location": "/login"}))
        else:
            self._send(self.server.answers.get(self.path, Answer(404, b"{}")))

    def do_POST(self) -> None:
        self.server.form.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        cookie = {"Set-Cookie": "session=in; HttpOnly; Path=/"} if self.server.password in self.server.form[-1] else {}
        self._send(Answer(302, b"", {"Location": "/", **cookie}))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def master() -> Iterator[PretendMaster]:
    server = PretendMaster()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def api(master: PretendMaster) -> Iterator[LocustApi]:
    with closing(LocustApi(master.url, keep_alive=True)) as made:
        yield made


def test_with_the_plugin_the_figures_are_read_though_locusts_own_answer_is_too_long(
    master: PretendMaster, api: LocustApi
) -> None:
    many = [{"method": "GET", "name": "/a", "error": f"{number} " * 200, "occurrences": 1} for number in range(8000)]
    master.answers["/stats/requests"] = Answer(body=json.dumps({**STATS, "errors": many}).encode())
    assert "longer than 4 MiB" in (api.read().error or "")
    master.answers["/locust-kit/status"] = Answer(body=json.dumps({**PLUGIN, "figures": STATS}).encode())
    reading = api.read()
    assert (reading.error, reading.stats and reading.stats.users) == (None, 200)


def test_the_masters_figures_are_read(api: LocustApi) -> None:
    reading = api.read()
    assert reading.error is None
    stats = reading.stats
    assert stats is not None
    assert (stats.state, stats.users, stats.rps, stats.fail_ratio) == ("running", 200, 12.5, 0.12)
    assert (stats.p50_ms, stats.p95_ms, stats.fail_per_second) == (11.0, 48.0, 1.5)
    assert stats.workers_connected == 1  # one of the two is missing
    assert stats.workers[0].cpu_percent == 33.3


def test_the_most_frequent_failures_and_endpoints_are_read(api: LocustApi) -> None:
    stats = api.read().stats
    assert stats is not None
    assert [(row.error, row.occurrences) for row in stats.failures] == [
        ("HTTPError('500')", 40), ("ConnectionRefusedError(111)", 3),
    ]  # fmt: skip
    assert stats.failures[1].first_seen == datetime.fromtimestamp(1795000000.5, UTC)
    assert [(row.name, row.requests) for row in stats.endpoints] == [("/a", 10)]  # and not the sum of them all
    assert stats.total is not None
    assert (stats.total.requests, stats.total.failures) == (10, 0)
    assert (stats.total.p50_ms, stats.total.p95_ms) == (7.0, 90.0)


def test_a_login_page_is_filled_in_once_and_its_cookie_kept(master: PretendMaster) -> None:
    # The password as a form writes it.
    master.password, master.answers["/login"] = "s%2Becret", Answer(200, LOGIN_PAGE, {"Content-Type": "text/html"})
    with closing(LocustApi(master.url, keep_alive=True, credentials=Credentials("me", "s+ecret"))) as api:
        assert all(api.read().stats for _ in range(3))
    assert master.form == ["username=me&password=s%2Becret"]


def test_a_session_that_has_ended_is_begun_anew(master: PretendMaster) -> None:
    master.password, master.answers["/login"] = "secret", Answer(200, LOGIN_PAGE, {"Content-Type": "text/html"})
    with closing(LocustApi(master.url, keep_alive=True, credentials=Credentials("me", "secret"))) as api:
        assert api.read().stats
        api._cookies["session"] = "forgotten by a master that was restarted"
        assert api.read().stats
    assert len(master.form) == 2


def test_a_wrong_password_is_not_sent_again_and_again(master: PretendMaster) -> None:
    master.password, master.answers["/login"] = "secret", Answer(200, LOGIN_PAGE, {"Content-Type": "text/html"})
    now = 100.0
    with closing(
        LocustApi(master.url, keep_alive=True, credentials=Credentials("me", "guess"), monotonic=lambda: now)
    ) as api:
        assert all("refuses the login" in (api.read().error or "") for _ in range(5))
        assert len(master.form) == 1
        now += 31
        api.read()
    assert len(master.form) == 2


def test_a_password_goes_to_no_other_server(master: PretendMaster) -> None:
    master.password = "secret"  # noqa: S105  a test's
    master.answers["/login"] = Answer(200, LOGIN_PAGE.replace(b"/enter", b"http://127.0.0.1:9/enter"))
    with closing(LocustApi(master.url, keep_alive=True, credentials=Credentials("me", "secret"))) as api:
        assert "on another server" in (api.read().error or "")
    assert master.form == []


FORM = [
    {"label": "Mail", "name": "mail"},
    {"name": "is_admin", "default_value": False},
    {"name": "stay", "default_value": True},
    {"name": "team", "choices": ["shop", "pay"]},
    {"name": "city", "default_value": "Ulm"},
    {"name": "pin", "is_secret": True},
    {"name": "pin_again", "is_secret": True},
    "no field",
]
FILLED = {"mail": "me", "stay": "on", "team": "shop", "city": "Ulm", "pin": "s", "pin_again": "s"}
USUAL = {"username": "me", "password": "s"}


@pytest.mark.parametrize(
    ("arguments", "form"),
    [
        ('{"username_password_callback": "/x"};', ("/x", USUAL)),
        (json.dumps({"custom_form": {"callback_url": "/y", "inputs": FORM}}), ("/y", FILLED)),
        (json.dumps({"custom_form": {"callback_url": "/y"}}), ("/y", {})),
        ("[1", ("/login", USUAL)),
        ("[1]", ("/login", USUAL)),
    ],
)
def test_the_login_form_is_filled_in(arguments: str, form: tuple[str, dict[str, str]]) -> None:
    assert login_form(f"<script>window.authArgs = {arguments}", Credentials("me", "s")) == form
    assert login_form("<html>", Credentials("me", "s")) == ("/login", USUAL)


def test_a_run_is_started_stopped_and_fetched_behind_a_login(master: PretendMaster) -> None:
    master.password, master.answers["/login"] = "secret", Answer(200, LOGIN_PAGE, {"Content-Type": "text/html"})
    master.answers["/"] = Answer(200, b'<script>window.templateArgs = {"version": "2.47.0"}</script>')
    master.answers["/exceptions/csv"] = Answer(200, b"none")
    for ask in (
        lambda api: api.page_settings() == {"version": "2.47.0"},
        lambda api: "exceptions.csv" in {name for name, _, problem in api.downloads() if not problem},
    ):
        assert ask(LocustApi(master.url, credentials=Credentials("me", "secret")))
        with pytest.raises(MasterGuardedError, match="asks for a login"):
            LocustApi(master.url).page_settings()


@pytest.mark.parametrize(
    ("host", "verified"),
    [("locust-master", False), ("127.0.0.1", False), ("::1", False), ("load.example.com", True), ("192.0.2.7", True)],
)
def test_only_the_stacks_own_names_go_unverified(host: str, verified: bool) -> None:  # noqa: FBT001  a parameter
    context = tls_context(verify=must_verify(host))
    assert (context.verify_mode == ssl.CERT_REQUIRED, context.check_hostname) == (verified, verified)


def test_tls_asked_of_a_plain_master_is_told(master: PretendMaster) -> None:
    with closing(LocustApi(master.url.replace("http:", "https:"), keep_alive=True)) as api:
        assert "does not speak TLS" in (api.read().error or "")


def test_credentials_do_not_show_the_password() -> None:
    assert "secret" not in repr(Credentials("me", "secret"))


def test_a_trickle_is_no_answer() -> None:
    ticks = iter(range(0, 100_000, 1))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def trickle() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                for _ in range(1000):
                    connection.sendall(b"x")
                    time.sleep(0.01)

        threading.Thread(target=trickle, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        api = LocustApi(url, monotonic=lambda: float(next(ticks)))
        assert "did not answer" in (api.read().error or "")


def test_the_plugins_word_is_read_beside_them(api: LocustApi) -> None:
    plugin = api.read().plugin
    assert plugin is not None
    assert plugin.run is not None
    assert plugin.run.run_id == "20261122T150405Z-ab12"
    assert plugin.workers_changed == {"f26e19abb9b8_01": ("flows/login.py",)}


def test_a_master_without_the_plugin_still_gives_its_figures(master: PretendMaster, api: LocustApi) -> None:
    del master.answers["/locust-kit/status"]
    reading = api.read()
    assert reading.stats is not None
    assert reading.plugin is None


def test_one_connection_serves_many_readings(master: PretendMaster, api: LocustApi) -> None:
    assert all(api.read().stats for _ in range(3))
    assert master.connections == 1


def test_a_base_path_is_kept(master: PretendMaster) -> None:
    master.answers["/load/stats/requests"] = master.answers.pop("/stats/requests")
    with closing(LocustApi(master.url + "/load/", keep_alive=True)) as api:
        assert api.read().stats is not None


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Answer(302, b"", {"Location": "/login?next=/stats/requests"}), "set LOCUST_WEB_USERNAME and"),
        (Answer(404, b"{}"), "is LOCUST_WEB_BASE_PATH"),
        (Answer(200, b'{"a":' * 100_000), "JSON is invalid"),
        (Answer(200, b" " * (17 << 20)), "longer than 4 MiB"),
        (Answer(302, b"", {"Location": "http://elsewhere/"}), "redirects to 'http://elsewhere/'"),
        (Answer(200, b"Locust auth exception: x", {"Content-Type": "text/html"}), "text/html instead of JSON"),
        (Answer(200, b"", {"Content-Type": "application/json"}), "answer is empty"),
        (Answer(200, b'{"stats": [', {"Content-Type": "application/json"}), "JSON is invalid"),
        (Answer(200, b"[1]", {"Content-Type": "application/json"}), "JSON is not an object"),
        (Answer(500, b"oops"), "status 500"),
    ],
)
def test_an_answer_that_is_no_figures_gives_the_reason(
    master: PretendMaster, api: LocustApi, answer: Answer, text: str
) -> None:
    master.answers["/stats/requests"] = answer
    reading = api.read()
    assert reading.stats is None
    assert text in (reading.error or "")


def test_a_master_that_is_down_gives_the_reason() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        api = LocustApi(f"http://127.0.0.1:{reserved.getsockname()[1]}", keep_alive=True)
        assert "refuses connections" in (api.read().error or "")


def test_an_unknown_name_is_told() -> None:
    # The name ends in .invalid, which no resolver may know.
    assert "is not known" in (LocustApi("http://locust-master.invalid:8089", keep_alive=True).read().error or "")


def test_a_master_that_says_nothing_costs_no_longer_than_the_time_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        api = LocustApi(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout_seconds=0.2, keep_alive=True)
        assert "did not answer within 0.2 s" in (api.read().error or "")


def test_what_is_not_http_is_told() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def greet() -> None:
            connection, _ = listener.accept()
            connection.sendall(b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\r\n")
            connection.close()

        threading.Thread(target=greet, daemon=True).start()
        assert "does not speak HTTP" in (
            LocustApi(f"http://127.0.0.1:{listener.getsockname()[1]}", keep_alive=True).read().error or ""
        )


@pytest.mark.parametrize(
    ("percentiles", "expected"),
    [
        ({"response_time_percentile_0.5": 1, "response_time_percentile_0.95": 2}, (1.0, 2.0)),
        ({"response_time_percentile_50": 1, "response_time_percentile_95": 2}, (1.0, 2.0)),
        ({"response_time_percentile_0.9": 5, "response_time_percentile_0.99": 6}, (7.0, 90.0)),
        ({"response_time_percentile_0.5": None, "other": "x"}, (7.0, 90.0)),
        ("nonsense", (7.0, 90.0)),
    ],
)
def test_percentiles_are_found_by_their_number_or_taken_from_the_whole_run(
    percentiles: Any, expected: tuple[float, float]
) -> None:
    stats = parse_stats({**STATS, "current_response_time_percentiles": percentiles})
    assert (stats.p50_ms, stats.p95_ms) == expected


def test_before_the_first_request_there_are_no_response_times() -> None:
    stats = parse_stats({**STATS, "stats": [{"name": "Aggregated", "num_requests": 0, "median_response_time": 0}]})
    assert (stats.p50_ms, stats.p95_ms) == (None, None)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"stats": 3, "workers": {"a": 1}, "errors": "x"},
        {"user_count": "x", "current_rps": None},
        {"user_count": float("nan"), "current_rps": float("inf")},
        {
            "user_count": 10**400,
            "stats": [None, 3, {"name": None, "num_requests": {}}],
            "errors": [{"first_seen": 1e300}],
        },
    ],
)
def test_nonsense_in_known_fields_counts_as_nothing(answer: dict[str, Any]) -> None:
    stats = parse_stats(answer)
    assert (stats.users, stats.rps, stats.workers) == (0, 0.0, ())


def test_the_plugins_labels_and_groups_are_read() -> None:
    group = {
        "method": "GET", "name": "/cart", "class": "server_error", "detail": "503", "message": "busy <n>", "count": 7,
        "first_seen": "2026-11-22T15:04:06Z", "last_seen": "2026-11-22T15:04:09Z",
    }  # fmt: skip
    run = {"run_id": "r", "state": "running", "labels": {"env": "staging", "run_id": "no", "a-b": "no", "n": 3}}
    plugin = parse_plugin({"run": run, "failures": {"groups": [group, None, {"count": "x"}]}})
    assert plugin.run is not None
    assert plugin.run.labels == (RunLabel("env", "staging"), RunLabel("n", "3"))
    first = plugin.failures[0]
    assert (first.text, first.occurrences) == ("server_error 503: busy <n>", 7)
    assert first.last_seen == datetime(2026, 11, 22, 15, 4, 9, tzinfo=UTC)
    assert [failure.occurrences for failure in plugin.failures] == [7, 0]


@pytest.mark.parametrize(
    "answer", [{}, {"failures": {"groups": 3}}, {"run": {"labels": [1]}}, {"run": {"labels": {"a": None}}}]
)
def test_what_are_no_labels_or_groups_is_read_as_text_or_nothing(answer: dict[str, Any]) -> None:
    assert parse_plugin(answer).failures == ()


@pytest.mark.parametrize("answer", [{}, {"run": 1, "workers": [1], "locustfile": "x"}, {"workers": {"a": None}}])
def test_nonsense_from_the_plugin_is_no_run_and_no_change(answer: dict[str, Any]) -> None:
    plugin = parse_plugin(answer)
    assert plugin.run is None
    assert plugin.master_changed == ()
    assert all(changed == () for changed in plugin.workers_changed.values())
