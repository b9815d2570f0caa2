"""The page in a real Chromium, over the real routes: what it shows, when, and that it keeps to itself."""

from __future__ import annotations

import http.client
import socket
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from sidecar.model.incident import EvidenceItem, Incident, Severity
from sidecar.model.snapshot import Blind, Failure, LogLine, Node
from tests.browser.browser import DEADLINE_SECONDS, Browser, until
from tests.browser.conftest import Stage
from tests.browser.pretend_sidecar import now

HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script><b>bold</b>'


def drawn(browser: Browser, chart: str) -> int:
    """Count the pixels of a chart that are not empty."""
    script = f"""
        const canvas = document.querySelector("#{chart} canvas");
        if (!canvas) return 0;
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let count = 0;
        for (let place = 3; place < pixels.length; place += 4) if (pixels[place]) count += 1;
        return count;
    """
    counted: int = browser.run(script)
    return counted


def new_kill(stage: Stage, **changes: Any) -> Incident:
    """Record an OOM kill of worker 2, as the sidecar does after its commit."""
    kill = replace(stage.world.oom_kill(2, now()), **changes)
    stage.world.incidents[kill.id] = kill
    stage.sidecar.record(kill)
    return kill


@pytest.mark.parametrize(
    "within_seconds",
    [DEADLINE_SECONDS, pytest.param(3.0, marks=pytest.mark.long)],
    ids=["at last", "within three seconds"],
)
def test_an_incident_is_shown(stage: Stage, within_seconds: float) -> None:
    stage.open()
    new_kill(stage, text="locust-worker-2 was OOM-killed; 100 users went with it")
    stage.browser.shows("#incident-list", "locust-worker-2 was OOM-killed; 100 users", within_seconds)
    stage.browser.shows("#announcer", "OOM kill: locust-worker-2")


def test_a_new_revision_replaces_what_was_shown(stage: Stage) -> None:
    stage.open()
    kill = new_kill(stage, text="first word", state="provisional")
    stage.browser.shows("#incident-list", "may change")
    stage.sidecar.record(replace(kill, revision=3, text="last word", state="final"))
    stage.browser.shows("#incident-list", "last word")
    stage.sidecar.record(replace(kill, revision=1, text="stale word"))
    stage.sidecar.record(replace(kill, id="0" * 16, text="something after it", state="final"))
    stage.browser.shows("#incident-list", "something after it")
    shown = stage.browser.text("#incident-list")
    assert "first word" not in shown
    assert "stale word" not in shown
    assert "may change" not in shown


def test_it_survives_a_restart_of_the_sidecar_without_a_reload(stage: Stage) -> None:
    stage.open()
    stage.browser.run("window.sameAsBefore = true")
    stage.stop()
    stage.browser.shows("#badge", "STALE")
    stage.browser.shows("#banner", "the monitor does not answer")
    missed = stage.world.oom_kill(1, now())
    stage.world.incidents[missed.id] = replace(missed, text="this happened while nobody served")
    stage.start()
    stage.browser.shows("#badge", "live")
    stage.browser.shows("#incident-list", "this happened while nobody served")
    new_kill(stage, text="and this afterwards")
    stage.browser.shows("#incident-list", "and this afterwards")
    assert stage.browser.text("#banner") == ""
    assert stage.browser.run("return window.sameAsBefore") is True


def test_another_answer_at_its_port_does_not_stop_it_for_good(stage: Stage) -> None:
    stage.open()
    stage.stop()
    with socket.create_server(("127.0.0.1", stage.port)) as other:
        other.settimeout(20)
        connection, _ = other.accept()
        with closing(connection):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    stage.start()
    stage.browser.shows("#badge", "live")


def test_it_asks_only_its_own_origin_and_complains_of_nothing(stage: Stage) -> None:
    stage.open()
    until(lambda: drawn(stage.browser, "chart-memory"), "a chart")
    stage.browser.click("#incident-list li.error button")
    stage.browser.shows("#detail", "Evidence")
    stage.browser.click("#detail-close")
    stage.browser.click("#logs-form button")
    stage.browser.shows("#logs-what", "lines found")
    stage.browser.listen()
    assert stage.browser.requests
    foreign = [address for address in stage.browser.requests if not address.startswith((stage.origin, "data:"))]
    assert foreign == []
    assert stage.browser.console == []


def test_its_policy_forbids_inline_code_and_every_other_host(stage: Stage) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", stage.port, timeout=5)) as connection:
        connection.request("GET", "/")
        policy = connection.getresponse().headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    stage.open()
    tried = "const s = document.createElement('script'); s.textContent = 'window.broken = 1'; document.body.append(s)"
    stage.browser.run(tried)
    assert stage.browser.run("return window.broken") is None


def test_hostile_names_and_lines_stay_text(stage: Stage) -> None:
    snapshot = stage.world.snapshot(now())
    hostile = replace(snapshot.containers[0], name=HOSTILE, service=HOSTILE)
    line = LogLine(now(), HOSTILE, HOSTILE, HOSTILE)
    snapshot = replace(
        snapshot, containers=(hostile, *snapshot.containers[1:]), logs=(line,), project=HOSTILE, watched=HOSTILE
    )
    stage.open()
    stage.sidecar.publish(snapshot)
    evidence = (EvidenceItem(HOSTILE, HOSTILE, now(), (HOSTILE,)),)
    kill = new_kill(stage, text=HOSTILE, container=HOSTILE, evidence=evidence, workers=(HOSTILE,))
    for part in ("#containers", "#log-lines", "#project", "#incident-list"):
        stage.browser.shows(part, HOSTILE)
    stage.browser.open(f"{stage.origin}/#incident={kill.id}")
    stage.browser.shows("#detail-body", HOSTILE)
    made = "return document.querySelectorAll('main img, dialog img, main script, dialog script, main b > b').length"
    assert stage.browser.run(made) == 0
    assert stage.browser.run("return document.title") not in {"1", "2"}


def test_a_trace_is_a_link_only_where_its_address_is_one_of_the_web(stage: Stage) -> None:
    stage.open()
    at, linked, plain = now(), "0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736"
    failures = (
        Failure("GET", "/a", "503", 3, at, at, trace_id=linked, trace_url=f"https://traces.invalid/trace/{linked}"),
        Failure("GET", "/b", "503", 2, at, at, trace_id=plain, trace_url="javascript:document.title=1"),
    )
    stage.sidecar.publish(replace(stage.world.snapshot(at), failures=failures))
    stage.browser.shows("#failures", plain)
    links = stage.browser.run(
        "return [...document.querySelectorAll('#failures a')].map((a) => [a.textContent, a.href])"
    )
    assert links == [[linked, f"https://traces.invalid/trace/{linked}"]]


def hatched(browser: Browser) -> int:
    """Count the pixels of a chart that have about the colour of hatching, in the light scheme."""
    counted: int = browser.run("""
        const canvas = document.querySelector("#chart-run canvas");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const wanted = getComputedStyle(document.documentElement).getPropertyValue("--hatch").match(/[0-9a-f]{2}/gi);
        let count = 0;
        for (let place = 0; place < data.length; place += 4) {
          const far = wanted.some((text, part) => Math.abs(data[place + part] - parseInt(text, 16)) > 8);
          if (!far && data[place + 3] > 128) count += 1;
        }
        return count;
    """)
    return counted


def test_a_blind_span_is_hatched(stage: Stage) -> None:
    stage.world.blind = ()
    stage.open()
    until(lambda: drawn(stage.browser, "chart-run"), "a chart")
    assert hatched(stage.browser) < 1500
    began = now() - (now() - stage.world.began) / 5
    stage.world.blind = (Blind(began, None, "events", covered=False, text="no events since 15:02:05"),)
    stage.round()
    stage.browser.shows("#blind", "no events since 15:02:05")
    until(lambda: hatched(stage.browser) > 4000, "hatching")


def test_what_is_old_is_said_loudly(stage: Stage) -> None:
    stage.open()
    stage.sidecar.publish(replace(stage.world.snapshot(now()), stale=True))
    stage.browser.shows("#badge", "STALE")
    stage.browser.shows("#banner", "Docker does not answer the monitor")
    stage.round()
    stage.browser.shows("#badge", "live")
    assert stage.browser.text("#banner") == ""


def test_the_detail_of_an_incident_has_its_evidence(stage: Stage) -> None:
    stage.open()
    stage.browser.click("#incident-list li.error button")
    stage.browser.shows("#detail", "memory.oom_control of its cgroup went from 0 to 1")
    shown = stage.browser.text("#detail")
    for fact in ("498MiB", "512MiB", "137", "users lost", "worker-3"):
        assert fact in shown
    assert stage.browser.run("return document.querySelectorAll('#detail .spark polyline').length") == 2
    assert stage.browser.run("return document.querySelectorAll('#detail .log li').length") == 50


def test_logs_can_be_searched_and_left_again(stage: Stage) -> None:
    stage.open()
    stage.browser.run("document.querySelector('#logs-text').value = 'basket'")
    stage.browser.click("#logs-form button")
    stage.browser.shows("#logs-what", "lines found")
    marked = "return [...new Set([...document.querySelectorAll('#log-lines mark')].map((one) => one.textContent))]"
    assert stage.browser.run(marked) == ["basket"]
    stage.browser.click("#logs-live")
    stage.browser.shows("#logs-what", "latest lines of locust-master")


def test_a_past_that_cannot_be_read_is_said_and_the_present_goes_on(stage: Stage) -> None:
    stage.stop()
    stage.sidecar = type(stage.sidecar)(stage.port, None)
    stage.round()
    stage.open()
    stage.browser.shows("#key", "there is no ledger")


@pytest.mark.parametrize("width", [375, 700, 1024, 1440])
def test_nothing_is_wider_than_the_window(stage: Stage, width: int) -> None:
    stage.open(width=width)
    until(lambda: drawn(stage.browser, "chart-run"), "a chart")
    assert stage.browser.run("const d = document.documentElement; return d.scrollWidth <= d.clientWidth")
    stage.browser.click("#incident-list li.error button")
    stage.browser.shows("#detail", "Evidence")
    assert stage.browser.run("const d = document.querySelector('#detail'); return d.scrollWidth <= d.clientWidth")


CONTRASTS = """
    const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
    const ground = (element) => {
      for (let one = element; one; one = one.parentElement) {
        const colour = parse(getComputedStyle(one).backgroundColor);
        if (colour.length < 4 || colour[3] > 0.99) return colour;
      }
      return [255, 255, 255];
    };
    const poor = [];
    for (const element of document.querySelectorAll("body *")) {
      const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      if (!words || !element.getClientRects().length || element.closest("noscript, .hidden, .skip")) continue;
      const [a, b] = [luminance(parse(getComputedStyle(element).color)), luminance(ground(element))];
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (contrast < 4.5) poor.push(`${element.tagName}.${element.className} ${contrast.toFixed(2)}`);
    }
    return [...new Set(poor)];
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_has_good_contrast(stage: Stage, dark: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    stage.open(dark=dark)
    until(lambda: drawn(stage.browser, "chart-run"), "a chart")
    stage.browser.click("#incident-list li.error button")
    stage.browser.shows("#detail", "Evidence")
    ground = stage.browser.run("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(16, 19, 23)" if dark else "rgb(244, 245, 247)")
    assert stage.browser.run(CONTRASTS) == []


def test_a_refresh_moves_nothing_and_keeps_the_focus(stage: Stage) -> None:
    stage.open()
    until(lambda: drawn(stage.browser, "chart-run"), "a chart")
    stage.browser.shows("#incident-list", "OOM kill")
    places = """
        return ["#run", "#charts", "#chart-run", ".side", "#containers", "#logs"].map((selector) => {
          const box = document.querySelector(selector).getBoundingClientRect();
          return [Math.round(box.top + scrollY), Math.round(box.height)];
        });
    """
    stage.browser.run("document.querySelector('#containers tbody tr button').focus()")
    focused = "return document.activeElement.textContent"
    before = stage.browser.run(places), stage.browser.run(focused)
    quiet = stage.world.snapshot(now())
    warned = replace(quiet, warnings=quiet.warnings * 4, verdict=None)
    for snapshot in (warned, replace(warned, stale=True)):
        stage.sidecar.publish(snapshot)
    new_kill(stage, text="one more")
    stage.browser.shows("#badge", "STALE")
    stage.browser.shows("#incident-list", "one more")
    assert (stage.browser.run(places), stage.browser.run(focused)) == before


def test_the_keyboard_reaches_an_incident_and_comes_back(stage: Stage) -> None:
    stage.open()
    stage.browser.shows("#incident-list", "OOM kill")
    stage.browser.run("document.querySelector('#incident-list button').focus()")
    for key in ("Enter", "Escape"):
        code = 13 if key == "Enter" else 27
        for kind in ("rawKeyDown", "char", "keyUp"):
            text = {"text": "\r"} if kind == "char" and key == "Enter" else {}
            if kind != "char" or text:
                stage.browser.ask("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)
        is_open = f"return document.querySelector('#detail').open === {str(key == 'Enter').lower()}"
        until(partial(stage.browser.run, is_open), key)
    assert stage.browser.run("return document.activeElement.closest('#incident-list') !== null")


def test_a_pressed_name_gets_a_colour_of_its_own_in_the_charts(browser: Browser) -> None:
    stage = Stage(browser, workers=60)
    try:
        stage.open()
        until(lambda: drawn(browser, "chart-memory"), "a chart")
        assert browser.run("return document.querySelectorAll('#chart-memory .legend li').length") == 5
        assert "worker-41" not in browser.text("#chart-memory .legend")
        script = "[...document.querySelectorAll('.pin')].find((one) => one.textContent === 'locust-worker-41').click()"
        browser.run(script)
        browser.shows("#chart-memory .legend", "worker-41")
        browser.shows("#chart-cpu .legend", "worker-41")
    finally:
        browser.driver.get("about:blank")
        stage.stop()


def test_what_the_page_keeps_stays_bounded(stage: Stage) -> None:
    stage.open()
    at = now()
    kill = stage.world.oom_kill(2, at)
    many = [
        replace(kill, id=f"{number:016x}", severity=Severity.WARN, text=f"number {number}") for number in range(900)
    ]
    stage.sidecar.record(*many)
    stage.browser.shows("#incidents-count", "500 latest")
    assert stage.browser.run("return document.querySelectorAll('#incident-list li').length") == 500


def test_the_machines_of_a_cluster_are_shown_the_silent_one_too(stage: Stage) -> None:
    stage.open()
    snapshot = stage.world.snapshot(now())
    assert snapshot.host
    nodes = (
        Node("node1", answers=True, leads=True, running=3, host=snapshot.host),
        Node("node2", answers=False, error="no answer within 3 s"),
        Node("node3", answers=True, master_error="connection refused"),
    )
    containers = tuple(
        replace(one, node=f"node{1 + number % 2}", state="unknown" if number % 2 else one.state)
        for number, one in enumerate(snapshot.containers)
    )
    assert "node1" not in stage.browser.text("#containers")
    stage.sidecar.publish(replace(snapshot, nodes=nodes, node="node1", leads=True, containers=containers))
    stage.browser.shows("#host-title", "NODES: 3")
    shown = stage.browser.text("#host")
    assert "node1 (master)" in shown
    assert "no answer" in shown
    assert "cannot reach the master" in shown
    assert "node2" in stage.browser.text("#containers")
    assert "unknown" in stage.browser.text("#containers")
