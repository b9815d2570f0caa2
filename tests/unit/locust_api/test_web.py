from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from sidecar.locust_api.client import LocustApi, master_url
from sidecar.locust_api.connection import MasterDownError, MasterGuardedError, MasterSlowError
from tests.fakes.fake_master import FakeMaster, figures
from tests.ports import free_port


@pytest.fixture
def web(master: FakeMaster) -> LocustApi:
    return LocustApi(master_url(master.port, {}), 2)


def test_the_count_and_the_figures_are_read(master: FakeMaster, web: LocustApi) -> None:
    master.figures = [figures("running", 7)]
    assert web.worker_count() == 2
    assert web.stats()["state"] == "running"


def test_a_master_without_the_plugin_has_no_status(master: FakeMaster, web: LocustApi) -> None:
    assert web.status() is None
    master.status = {"schema_version": 1, "run": None}
    assert web.status() == {"schema_version": 1, "run": None}


def test_a_status_that_cannot_be_used_leaves_the_figures(master: FakeMaster) -> None:
    master.status = {"padding": "x" * (5 << 20)}
    reading = LocustApi(master_url(master.port, {}), keep_alive=True).read()
    assert (reading.stats is not None, reading.plugin, reading.error) == (True, None, None)


def test_a_login_page_is_told_from_an_answer(master: FakeMaster, web: LocustApi) -> None:
    master.guarded = True
    with pytest.raises(MasterGuardedError, match=r"asks for a login"):
        web.worker_count()


def test_a_page_that_is_no_json_is_not_believed(web: LocustApi) -> None:
    with pytest.raises(MasterGuardedError, match=r"404 text/html, not JSON"):
        web.json("/elsewhere")


def test_what_the_master_tells_its_page_is_found(master: FakeMaster, web: LocustApi) -> None:
    assert web.page_settings() == master.page
    master.page = {"users": {"A": {"host": "http://a/{x}"}}}
    assert web.page_settings() == master.page


def test_stop_is_posted_and_asked_for_by_get_where_post_is_refused(master: FakeMaster, web: LocustApi) -> None:
    web.stop()
    assert ([path for path, _ in master.posts], master.gets) == (["/stop"], [])
    master.stop_wants_get = True
    web.stop()
    assert master.gets == ["/stop"]


def test_a_run_is_asked_for_as_a_form(master: FakeMaster, web: LocustApi) -> None:
    web.swarm([("host", "http://a/?b=c&d=e f"), ("user_classes", "A"), ("user_classes", "B")])
    assert master.posts == [("/swarm", [("host", "http://a/?b=c&d=e f"), ("user_classes", "A"), ("user_classes", "B")])]


def test_every_report_is_fetched(web: LocustApi) -> None:
    names = {name: content for name, content, why in web.downloads() if not why}
    assert set(names) == {
        "locust_report.html", "requests.csv", "failures.csv", "exceptions.csv", "failure_groups.json",
        "failure_analysis.csv", "performance.json",
    }  # fmt: skip
    assert names["requests.csv"] == b"content of /stats/requests/csv"


def test_a_saved_report_of_locust_has_no_password_of_the_host(web: LocustApi, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = replace(web.request("GET", "/stats/requests/csv"), body=b'{"host": "http://ann:s3cRet@shop:8080"}')
    monkeypatch.setattr(LocustApi, "request", lambda *_, **__: answer)
    assert {content for _, content, _ in web.downloads()} == {b'{"host": "http://***@shop:8080"}'}


def test_a_port_where_nobody_listens_is_down() -> None:
    with pytest.raises(MasterDownError, match=r"no Locust master answers"):
        LocustApi(master_url(free_port(), {})).worker_count()


def test_a_port_that_accepts_and_says_nothing_is_slow() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(MasterSlowError):
        LocustApi(master_url(server.getsockname()[1], {}), 0.2).worker_count()


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({}, "http://127.0.0.1:8089/"),
        ({"LOCUST_WEB_BASE_PATH": "/load/"}, "http://127.0.0.1:8089/load/"),
        ({"LOCUST_TLS_CERT": "c", "LOCUST_TLS_KEY": "k"}, "https://127.0.0.1:8089/"),
        ({"LOCUST_TLS_CERT": "c"}, "http://127.0.0.1:8089/"),
    ],
)
def test_the_masters_own_settings_say_where_its_api_is(env: dict[str, str], url: str) -> None:
    assert master_url(8089, env) == url
