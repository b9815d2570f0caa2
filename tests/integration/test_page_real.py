"""The views of a real stack while its worker is OOM-killed by the kernel, in a real Chromium and in a terminal.

Beside it runs another Compose project, watched, whose names and log lines are hostile.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.browser.browser import Browser
from tests.integration.stacks import USERS_FILES, Stack, docker, get_json, until
from tests.integration.storm.host import sigkill
from tests.integration.storm.truth import nanoseconds
from tests.integration.watched_project import kill_child, watched

pytestmark = pytest.mark.kills

SHOP = "kit-test-page-shop"
USERS = 20
HOSTILE = '<img src=x onerror="document.title=1"><b>bold</b>'
# Written by the container itself, so that the bytes are those that a program would write.
ESCAPES = "\\x1b[31mred\\x1b]0;owned\\x07\\x1b]52;c;aGk=\\x07\\x1b[2J"
SAYS = f"""
print('first {HOSTILE} {ESCAPES}')
print('long ' + 'x' * (1 << 20) + {HOSTILE!r})
print('last {HOSTILE}', flush=True)
"""
PROMISED_SECONDS = 3.0
TOGETHER_SECONDS = 5.0  # the first sign of a kill may be moved to an earlier one while it is not settled

# Notes when the list first held an OOM kill of a moment, on the clock that the machine's containers have, too.
WATCH = """
    window.seen = {};
    const list = document.querySelector("#incident-list");
    const look = () => {
      for (const item of list.querySelectorAll("li")) {
        if (item.textContent.includes("OOM kill")) seen[item.querySelector("time").dateTime] ??= Date.now();
      }
    };
    look();
    new MutationObserver(look).observe(list, {subtree: true, childList: true, characterData: true});
"""


@pytest.fixture(scope="module")
def shop(running: Stack) -> Iterator[str]:
    """The watched project's container, in the view; its image is one that `up` builds."""
    with watched(SHOP, service=HOSTILE, script=SAYS) as container_id:
        until(
            lambda: SHOP in [container["project"] for container in running.snapshot()["containers"]],
            30,
            "it to be watched",
        )
        yield container_id


@pytest.fixture(scope="module")
def running(stack: Stack) -> Iterator[Stack]:
    """A stack in a run."""
    stack.settings = {"WORKER_MEMORY": "128M", "WORKER_MEMORY_RESERVATION": "64M", "WATCH_PROJECT": SHOP}
    stack.up("WORKERS=2", "MOCK=1", f"LOCUSTFILES_DIR={USERS_FILES / 'hungry'}")
    run = stack.start_run(f"USERS={USERS}", f"SPAWN_RATE={USERS}", "RUN_TIME=1h")
    try:
        until(lambda: all(users_of_workers(stack).values()), 60, "the sidecar to know who has the users")
        yield stack
    finally:
        run.kill()
        run.communicate(timeout=240)


def users_of_workers(stack: Stack) -> dict[str, int]:
    """How many users each worker has, as the sidecar knows; the machine may be too busy for an even share."""
    locust = stack.snapshot()["locust"] or {"workers": []}
    return {worker["container"]: worker["users"] for worker in locust["workers"] if worker["state"] != "missing"} or {
        "": 0
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium."""
    made = Browser()
    yield made
    made.close()


@dataclass(frozen=True)
class Seen:
    """The page as it was opened, the kill of a worker, and when the page showed it."""

    origin: str
    incident: dict[str, Any]
    seconds: float


@pytest.fixture(scope="module")
def seen(running: Stack, shop: str, browser: Browser) -> Seen:
    """A worker is OOM-killed while the page is open, and the shop is in its view."""
    assert shop
    origin = f"http://127.0.0.1:{running.monitor_port}"
    browser.open(origin)
    browser.shows("#badge", "live")
    browser.shows("#containers", "locust-worker-2")
    browser.run(f"window.sameAsBefore = true; {WATCH}")
    worker = running.containers("locust-worker")[0]
    docker("exec", worker, "touch", "/tmp/eat")  # noqa: S108  inside the container
    kill = until(lambda: oom_kill(running, worker), 60, "the kill to be recorded")
    at = nanoseconds(kill["at"]) / 1e9
    return Seen(origin, kill, until(lambda: shown_at(browser, at), 30, "the page to show it") - at)


def oom_kill(stack: Stack, container_id: str) -> dict[str, Any]:
    """The final word on an OOM kill of a container; empty while there is none."""
    listed = get_json(f"http://127.0.0.1:{stack.monitor_port}/api/incidents?kind=oom_kill")["incidents"]
    wanted = (one for one in listed if (one["container_id"], one["state"]) == (container_id, "final"))
    return next(wanted, {})


def shown_at(browser: Browser, at: float) -> float:
    """When the page first had an OOM kill of about this moment; 0 while it has none. In seconds since 1970."""
    times = browser.run("return Object.entries(window.seen).map(([at, when]) => [Date.parse(at), when])")
    return min((when / 1000 for of, when in times if abs(of / 1000 - at) < TOGETHER_SECONDS), default=0.0)


def words(text: str) -> str:
    """A text with its blanks evened out: views wrap lines."""
    return " ".join(text.split())


def test_the_page_says_who_died_with_how_much_memory_and_how_many_users(seen: Seen, browser: Browser) -> None:
    kill = seen.incident
    worker = kill["workers"][0][:17]
    assert re.fullmatch(
        rf"locust-worker-\d was OOM-killed, \d+ of 128 MiB in use, \d+ users? lost with worker {worker}…", kill["text"]
    )
    browser.shows("#incident-list", kill["text"])
    browser.click(f"#incident-list li.error time[datetime='{kill['at']}']")
    browser.shows("#detail", "Evidence")
    detail = browser.text("#detail")
    assert kill["text"] in detail
    assert kill["workers"][0] in detail
    browser.click("#detail-close")


@pytest.mark.long  # a span of time asserted: for a machine that does nothing else
def test_the_page_says_so_within_three_seconds(seen: Seen) -> None:
    print(f"{seen.seconds:.2f} s from the kill to the page")
    assert seen.seconds <= PROMISED_SECONDS


def test_every_view_has_the_same_incident_in_the_same_words(seen: Seen, running: Stack) -> None:
    kill = seen.incident
    api = f"{seen.origin}/api/incidents/{kill['id']}"
    assert get_json(api)["text"] == kill["text"]
    printed = json.loads(running.kit("snapshot").stdout)["incidents"]
    (in_snapshot,) = (one for one in printed if one["id"] == kill["id"])
    assert {**in_snapshot, "evidence": []} == {**kill, "evidence": []}
    listed = running.kit("incidents").stdout
    assert f"{kill['id']}  error  OOM kill  {kill['text']}" in listed
    assert f"OOM kill {kill['text']}" in words(running.kit("monitor", "ONCE=1").stdout)
    row = until(lambda: row_of_tab(running, kill["text"]), 30, "the tab to have it")
    assert (row["kind"], row["container"], row["count"]) == ("OOM kill", kill["container"], 1)


def row_of_tab(stack: Stack, text: str) -> dict[str, Any]:
    tables = stack.web("/stats/requests").get("extended_stats", [])
    return next((row for table in tables for row in table["data"] if row["text"] == text), {})


def test_the_tab_in_locusts_own_web_ui_shows_it(seen: Seen, running: Stack) -> None:
    browser = Browser()
    try:
        browser.open(f"http://127.0.0.1:{running.web_port}/")
        tab = "[...document.querySelectorAll('[role=tab]')].find((one) => /incidents/i.test(one.innerText))"
        until(lambda: browser.run(f"return {tab}"), 30, "the tab")
        browser.run(f"{tab}.click()")
        until(lambda: seen.incident["text"] in browser.text("body"), 30, "the row")
        assert browser.run("return document.querySelectorAll('img[src=x]').length") == 0
    finally:
        browser.close()


def test_the_watched_project_is_in_the_view_and_its_kills_are_told(seen: Seen, running: Stack, shop: str) -> None:
    kill_child(shop)
    kill = until(lambda: oom_kill(running, shop), 60, "the kill to be recorded")
    assert (kill["project"], kill["process_survived"], kill["users_lost"]) == (SHOP, True, None)
    snapshot = running.snapshot()
    assert snapshot["watched"] == SHOP
    (shown,) = (container for container in snapshot["containers"] if container["project"] == SHOP)
    assert shop.startswith(shown["id"])
    assert shown["oom_kills"] == 1
    history = get_json(f"{seen.origin}/api/history")
    assert any(container["project"] == SHOP for container in history["containers"])
    assert snapshot["verdict"]["reasons"] == [seen.incident["text"]]  # what happens to others does not spoil the run


def test_hostile_lines_stay_text_in_the_page(seen: Seen, browser: Browser) -> None:
    browser.shows("#containers", f"{SHOP}-web-1")
    browser.run(f"document.querySelector('#logs-text').value = {HOSTILE!r}")
    browser.click("#logs-form button")
    browser.shows("#log-lines", f"last {HOSTILE}")
    browser.shows("#log-lines", f"first {HOSTILE} red")
    assert "\x1b" not in browser.text("body")
    made = "return document.querySelectorAll('main img, main script, td b, #log-lines b').length"
    assert browser.run(made) == 0
    assert browser.run("return document.title") != "1"
    assert len(browser.text("#log-lines")) < 100_000
    assert seen.origin


@pytest.mark.usefixtures("seen")
def test_hostile_names_and_lines_do_nothing_in_a_terminal(running: Stack, shop: str) -> None:
    if not (kill := oom_kill(running, shop)):
        kill_child(shop)
        kill = until(lambda: oom_kill(running, shop), 60, "the kill to be recorded")
    said = "".join(
        running.kit(*call).stdout
        for call in (("monitor", "ONCE=1"), ("incidents",), ("incidents", kill["id"]), ("logs", f"SERVICE={HOSTILE}"))
    )
    assert HOSTILE in said
    assert f"last {HOSTILE}" in said
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", said)


def test_it_comes_back_by_itself_when_the_sidecar_is_killed(seen: Seen, running: Stack, browser: Browser) -> None:
    started = sidecar_started(running)
    sigkill(running.containers("monitor")[0])
    browser.shows("#badge", "STALE", seconds=40)
    until(lambda: sidecar_started(running) != started, 60, "Docker to start it again")
    browser.shows("#badge", "live", seconds=60)
    browser.shows("#incident-list", seen.incident["text"])
    worker = running.containers("locust-worker")[1]
    docker("exec", worker, "touch", "/tmp/eat")  # noqa: S108  inside the container
    kill = until(lambda: oom_kill(running, worker), 60, "the next kill to be recorded")
    browser.shows("#incident-list", kill["text"])
    assert browser.run("return window.sameAsBefore") is True


def sidecar_started(stack: Stack) -> str:
    (state,) = (one["State"]["StartedAt"] for one in stack.inspect("monitor"))
    return str(state)


def test_it_asks_only_its_own_origin_and_complains_of_nothing_but_the_dead_sidecar(
    seen: Seen, browser: Browser
) -> None:
    browser.listen()
    foreign = [url for url in browser.requests if not url.startswith((seen.origin, "data:"))]
    assert foreign == []
    # While the sidecar is dead, the browser itself notes that its stream was cut; the page cannot keep it from that.
    assert [word for word in browser.console if "net::ERR_" not in word] == []
