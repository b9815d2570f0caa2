"""The tab in Locust's own web UI: live rows, the download, and what the user's own file and other plugins put there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, jsonify
from locust_kit.failures import tab
from locust_kit.failures.collection import Collection
from locust_kit.failures.watch import Watch
from locust_kit.writer import Writer

HOSTILE = "<img src=x onerror=alert(1)>"


class Account:
    def __init__(self) -> None:
        self.collection = Collection()
        self.watch = Watch()
        self.writer: Writer | None = None

    def document(self) -> dict[str, Any]:
        return {"failures": self.collection.failures}

    def times(self) -> dict[str, Any]:
        return {"endpoints": []}


class WebUi:
    """The part of Locust's that is used: arguments of the page, and the login."""

    def __init__(self, login: bool = False) -> None:  # noqa: FBT001, FBT002
        self.template_args: dict[str, Any] = {"extended_tabs": [{"title": "Mine", "key": "mine"}]}
        self._login = login

    def auth_required_if_enabled(self, view: Callable[[], Any]) -> Callable[[], Any]:
        return (lambda: ("log in", 401)) if self._login else view


def app_of(web_ui: WebUi, account: Account, base: str = "") -> Flask:
    app = Flask("locust")
    app.add_url_rule(f"{base}/stats/requests", "stats", lambda: jsonify({"stats": []}))
    tab.install(app, web_ui, base, account)  # type: ignore[arg-type]
    return app


@pytest.fixture
def account() -> Account:
    made = Account()
    made.collection.take(
        "w1",
        {
            "groups": [
                ["GET", "/cart", "server_error", "503", HOSTILE, 3, 0.0, 60.0],
                ["GET", "=1+1", "dns", "EAI_NONAME", "gone", 1, 0.0, 0.0],
                ["TASK", "U.t", "task_error", "KeyError", "x", 2, 0.0, 0.0],
            ],
            "examples": [],
            "rows": [],
        },
    )
    return made


@pytest.mark.parametrize("base", ["", "/locust"])
def test_the_rows_travel_with_the_statistics_under_any_base_path(account: Account, base: str) -> None:
    answer = app_of(WebUi(), account, base).test_client().get(f"{base}/stats/requests").get_json()
    (table,) = answer["extended_stats"]
    assert table["key"] == tab.KEY
    assert [(row["count"], row["share"], row["class"]) for row in table["data"]] == [
        (3, "75.0%", "server_error"),
        (2, "100.0%", "task_error"),
        (1, "25.0%", "dns"),
    ]
    assert "name" not in table["data"][0]  # Locust's page would sort by it
    assert table["data"][0]["message"] == HOSTILE  # as text, in JSON: the page shows it as text
    assert table["data"][0]["last_seen"] == "00:01:00"


def test_too_many_failures_right_now_are_the_first_row(account: Account) -> None:
    account.watch.look(0.0, 0, 0)
    account.watch.look(1.0, 100, 30)
    answer = app_of(WebUi(), account).test_client().get("/stats/requests").get_json()
    first = answer["extended_stats"][0]["data"][0]
    assert (first["class"], first["message"]) == ("now", "30.0 % of the requests in the last 10 s failed")


def test_the_tabs_of_others_stay_and_columns_fit_the_rows(account: Account) -> None:
    web_ui = WebUi()
    app_of(web_ui, account)
    assert [extended_tab["key"] for extended_tab in web_ui.template_args["extended_tabs"]] == ["mine", tab.KEY]
    (table,) = web_ui.template_args["extended_tables"]
    assert [column["key"] for column in table["structure"]] == list(tab.rows(account.collection)[0])


@pytest.mark.parametrize("base", ["", "/locust"])
def test_the_rows_of_the_run_are_linked(account: Account, base: str, tmp_path: Path) -> None:
    web_ui = WebUi()
    client = app_of(web_ui, account, base).test_client()
    (link,) = web_ui.template_args["extended_csv_files"]
    assert client.get(link["href"]).text == ""  # no run yet
    account.writer = Writer(tmp_path, lambda error: pytest.fail(str(error)))
    assert client.get(link["href"]).text == ""  # no failure yet
    (tmp_path / "failure_analysis.csv").write_text("timestamp\n1\n")
    answer = client.get(link["href"])
    assert (answer.text, answer.headers["content-type"]) == ("timestamp\n1\n", "text/csv; charset=utf-8")


def test_the_groups_are_there_as_csv_and_json(account: Account) -> None:
    client = app_of(WebUi(), account).test_client()
    found = list(csv.reader(io.StringIO(client.get("/locust-kit/failure_groups.csv").text)))
    assert [column for column in found[0] if column not in tab.COLUMNS] == ["name"]
    assert [row[5] for row in found[1:]] == ["/cart", "U.t", "'=1+1"]
    assert client.get("/locust-kit/failure_groups.json").get_json() == {"failures": 4}
    assert client.get("/locust-kit/performance.json").get_json() == {"endpoints": []}


@pytest.mark.parametrize(
    "name", ["failure_groups.csv", "failure_groups.json", "failure_analysis.csv", "failures.ndjson", "performance.json"]
)
def test_each_download_asks_for_the_login(account: Account, name: str) -> None:
    assert app_of(WebUi(login=True), account).test_client().get(f"/locust-kit/{name}").status_code == 401


def test_the_sidecar_gets_no_rows(account: Account) -> None:
    client = app_of(WebUi(), account).test_client()
    assert json.loads(client.get("/stats/requests", headers={"user-agent": "locust-kit"}).data) == {"stats": []}
