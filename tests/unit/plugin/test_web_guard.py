"""The rules of both pages, as a table."""

from __future__ import annotations

import base64

import pytest
from locust_kit.web_guard import BAD_HOST, FOREIGN, LOGIN, WebGuard, authorization

OWN = "127.0.0.1:8089"
GUARD = WebGuard(["Locust.Shop.example"])
OPENED = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def status(method: str = "POST", path: str = "/swarm", **headers: str) -> int | None:
    given = {"host": OWN} | {name.replace("_", "-"): value for name, value in headers.items()}
    refused = GUARD.refusal(method, path, lambda name: given.get(name, ""))
    return refused[0] if refused else None


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:8089", "localhost:1", "LOCALHOST", "[::1]:8090", "10.0.0.7:8089", "203.0.113.9"),
        *("locust-master:8089", "monitor:8090", "locust-locust-master-1:8089", "shop_locust-master", "shop-monitor-1"),
        *("host.docker.internal:8089", "locust.shop.example", "LOCUST.shop.example:443"),
    ],
)
def test_a_host_of_ours_is_allowed(host: str) -> None:
    assert status(host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "evil.example:8089", "127.0.0.1.evil.example", "localhost.evil.example", "www.localhost"),
        *("locust-master.evil.example", "monitor.evil.example", "x.locust.shop.example", "locust.shop.example.evil"),
        *("0.0.0.0", "[::]:8089", "2130706433", "localhost.", "127.0.0.1@evil.example", "evil.example/127.0.0.1", "x"),
        *("127.0.0.1:8089,evil.example", "127.0.0.1 evil.example", "127.0.0.1\t", "[127.0.0.1", "evil-monitor.example"),
    ],
)
def test_another_host_is_refused(host: str) -> None:
    assert status("GET", "/", host=host) == BAD_HOST


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1:8089.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": f"http://{OWN}"},
        {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
        {"referer": "https://evil.example/page"},
        OPENED,
    ],
)
def test_what_changes_something_is_refused_for_another_page(method: str, headers: dict[str, str]) -> None:
    assert status(method, "/anything", **headers) == FOREIGN


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "same-origin", "origin": f"http://{OWN}"},
        {"sec-fetch-site": "none"},
        {"origin": f"https://{OWN}"},
        {"referer": f"http://{OWN}/"},
        {"origin": "https://locust.shop.example", "sec-fetch-site": "cross-site"},
        {"referer": "https://locust.shop.example/x"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_page_itself_and_programs_may_send_all(method: str, headers: dict[str, str]) -> None:
    assert status(method, "/stop", **headers) is None


@pytest.mark.parametrize("path", ["/stop", "/stop/", "/load/stop", "/stats/reset"])
def test_a_get_that_changes_something_is_no_page_to_open(path: str) -> None:
    assert status("GET", path, **OPENED) == FOREIGN
    assert status("GET", path, referer="https://evil.example/") == FOREIGN


def test_a_link_elsewhere_opens_the_page_and_embeds_nothing() -> None:
    assert status("GET", "/", **OPENED) is None
    assert status("GET", "/", referer="https://wiki.example/") is None
    for dest, mode in (("image", "no-cors"), ("script", "no-cors"), ("empty", "cors"), ("iframe", "navigate")):
        assert status("GET", "/", **{**OPENED, "sec-fetch-dest": dest, "sec-fetch-mode": mode}) == FOREIGN


@pytest.mark.parametrize("password", ["sesame", "with: a colon", "pa ss&wörd "])
def test_a_page_with_a_password_needs_it_from_everybody(password: str) -> None:
    guard = WebGuard([], password)

    def ask(**headers: str) -> int | None:
        refused = guard.refusal("GET", "/logs", lambda name: {"host": OWN, **headers}.get(name, ""))
        return refused[0] if refused else None

    assert ask(**authorization(password)) is None
    person = base64.b64encode(f"ann:{password}".encode()).decode()
    assert ask(authorization=f"BASIC {person}") is None
    for wrong in (
        "",
        "Basic",
        f"Bearer {person}",
        "Basic !",
        "Basic ä",
        *authorization(password + "x").values(),
        password,
    ):
        assert ask(authorization=wrong) == LOGIN
    assert authorization("") == {}
