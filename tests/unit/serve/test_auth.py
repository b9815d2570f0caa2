"""What a sidecar of a cluster adds: every request needs the token, and the leader gets its report."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sidecar.cluster.member import NodeStatusPublisher
from sidecar.cluster.peer_client import LEADER_HEADER
from sidecar.model import document
from sidecar.model.cluster import NodeReport, Reach
from sidecar.monitor.board import Board
from sidecar.serve.app import make_app
from sidecar.serve.auth import ClusterAuth
from tests.fakes import sidecar_samples as samples
from tests.fakes.asking import Answer, _answer

TOKEN = "a-long-secret"  # noqa: S105  of this test alone


class Sidecar:
    """The application of one node, with a round behind it."""

    def __init__(self) -> None:
        self.board = Board(lambda: samples.NOW)
        self.publisher = NodeStatusPublisher(
            "node2", "boot", lambda: samples.NOW, lambda: Reach(samples.NOW, took_ms=0.5)
        )
        self.app = make_app(self.board, asyncio.Event(), cluster=ClusterAuth(self.publisher, TOKEN))

    def look(self) -> None:
        """Make a round of a leader, which shows other nodes' containers too."""
        found = samples.running()
        mine, theirs = (replace(found.containers[number], node=f"node{number + 2}") for number in (0, 1))
        self.publisher.take(replace(found, containers=(mine, theirs), node="node2"))

    def ask(self, path: str, query: str = "", **headers: str) -> Answer:
        """Ask with the token, unless other headers are given."""
        return _answer(self.app, "GET", path, query, b"", headers or {"authorization": f"Bearer {TOKEN}"})

    def report(self, leader: str = "node1") -> NodeReport:
        """What it tells a leader."""
        headers = {"authorization": f"Bearer {TOKEN}", LEADER_HEADER: leader}
        return document.loads_as(NodeReport, _answer(self.app, "GET", "/api/node", "", b"", headers).body, "word")


@pytest.fixture
def sidecar() -> Sidecar:
    made = Sidecar()
    made.look()
    return made


@pytest.mark.parametrize("path", ["/", "/api/snapshot", "/api/node", "/api/incidents", "/metrics", "/static/style.css"])
@pytest.mark.parametrize(
    "headers",
    [{"x": "y"}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"cookie": "locust_kit_token=wrong"}],
    ids=["nothing", "another token", "no scheme", "another cookie"],
)
def test_nothing_is_told_without_the_token(sidecar: Sidecar, path: str, headers: dict[str, str]) -> None:
    answer = sidecar.ask(path, **headers)
    assert answer.status == 401
    assert TOKEN not in answer.body.decode()


def test_whether_it_lives_is_told_to_everybody(sidecar: Sidecar) -> None:
    assert sidecar.ask("/healthz", x="y").status == 503  # no round was published: that is an answer


def test_a_link_with_the_token_leaves_a_cookie_and_takes_it_out_of_the_address(sidecar: Sidecar) -> None:
    answer = sidecar.ask("/", f"token={TOKEN}", x="y")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}
    assert sidecar.ask("/api/node", cookie=cookie.partition(";")[0]).status == 200
    assert sidecar.ask("/", "token=wrong", x="y").status == 401


def test_its_word_is_of_its_own_containers_alone(sidecar: Sidecar) -> None:
    report = sidecar.report()
    assert (report.node, report.boot_id, report.reach) == ("node2", "boot", Reach(samples.NOW, took_ms=0.5))
    assert [container.node for container in report.snapshot.containers] == ["node2"]
    assert (report.snapshot.locust, report.snapshot.incidents, report.snapshot.logs) == (None, (), ())


def test_incidents_are_told_once_to_whoever_asks_with_the_mark(sidecar: Sidecar) -> None:
    first = sidecar.report()
    mine = samples.oom_story(samples.NOW)[0]
    sidecar.board.record([mine, replace(mine, id="of another node", node="node3")])
    answer = sidecar.ask("/api/node", f"mark={first.mark}")
    report = document.loads_as(NodeReport, answer.body, "word")
    assert [incident.id for incident in report.incidents] == [mine.id]
    assert (report.mark, report.complete) == (first.mark + 2, True)
    assert document.loads_as(NodeReport, sidecar.ask("/api/node", f"mark={report.mark}").body, "word").incidents == ()
    assert sidecar.ask("/api/node", "mark=x").status == 400


def test_a_leader_is_told_who_led_before_it(sidecar: Sidecar) -> None:
    assert sidecar.report("node1").led_by is None
    assert sidecar.report("node1").led_by is None
    assert sidecar.report("node3").led_by == "node1"
    assert sidecar.publisher.led_before("node2") is not None


def test_before_its_first_round_it_has_no_word() -> None:
    assert Sidecar().ask("/api/node").status == 503


def test_a_host_name_of_the_clusters_own_opens_it(sidecar: Sidecar) -> None:
    headers: dict[str, Any] = {"authorization": f"Bearer {TOKEN}", "host": "node2.example"}
    assert sidecar.ask("/api/node", **headers).status == 200
