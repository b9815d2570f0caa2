"""A whole sidecar under attack: whatever the engine answers, every part of it lives on, and says what is wrong."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.process.hostile.hostile_engine import Bent, HostileEngine, body, box_id, dripping, raw
from tests.process.hostile.whole_sidecar import Vigil, WholeSidecar, eventually

ODD = box_id(3)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
STATS: dict[str, Bent] = {
    "invalid: memory_stats is": body({"read": "2026-11-22T08:15:28Z", "memory_stats": [1]}),
    "not JSON": body(b"[" * 200_000),
    "begins with": raw(b"\x16\x03\x01 garbage\r\n\r\n"),
    "no complete answer in time": dripping(HEAD, b" ", 0.3),
    "more than 1 MiB": dripping(HEAD, b" " * (1 << 20), 0),
    "status 500: boom": body(b"\x1b[31mboom", 500),
}
EVENTS = (
    [1],
    "x",
    {"Type": "container", "Action": "die", "Actor": [], "timeNano": 5},
    {
        "Type": "container",
        "Action": "die",
        "timeNano": 10**18,
        "Actor": {"ID": ODD, "Attributes": {"exitCode": "9" * 5000}},
    },
    {
        "Type": "container",
        "Action": "health_status: \ud800",
        "timeNano": 10**18,
        "Actor": {"ID": ODD, "Attributes": {}},
    },
)


def health(sidecar: WholeSidecar) -> str:
    status, text = sidecar.get("/healthz")
    assert status == 200
    return "\n".join(json.loads(text)["troubles"])


def _wait_for_warning(sidecar: WholeSidecar, says: str) -> None:
    eventually(lambda: says in sidecar.warnings(), f"a warning with {says!r}: {sidecar.warnings()}")


def ledger_up(sidecar: WholeSidecar) -> str:
    lines = sidecar.get("/metrics")[1].decode().splitlines()
    return next(line for line in lines if line.startswith("locust_kit_ledger_up"))


def test_odd_stats_of_one_container_are_said_and_cost_nothing_else(
    sidecar: WholeSidecar, engine: HostileEngine, vigil: Vigil
) -> None:
    for says, bent in STATS.items():
        with engine.bending(("stats", ODD), bent):
            _wait_for_warning(sidecar, says)
            others = [container for container in sidecar.snapshot()["containers"] if container["id"] != ODD[:12]]
            assert all(one["memory_usage_bytes"] for one in others)
    vigil.all_lives("odd stats")
    assert "Traceback" not in sidecar.said()


def test_odd_events_are_passed_over(sidecar: WholeSidecar, engine: HostileEngine, vigil: Vigil) -> None:
    for event in EVENTS:
        engine.tell(event)
    vigil.all_lives("odd events")
    assert "Traceback" not in sidecar.said()


def test_a_cut_of_everything_is_survived(engine: HostileEngine, vigil: Vigil) -> None:
    with engine.bending("version", body(b"<html>")), engine.bending("events", dripping(b"HTTP/1.1 200", b"a", 0.1)):
        before = engine.asked["events"]
        engine.hang_up()
        eventually(lambda: engine.asked["events"] > before, "the events to be asked for again")
    vigil.all_lives("a cut")


def test_a_slow_engine_delays_no_round_for_long(sidecar: WholeSidecar, engine: HostileEngine, vigil: Vigil) -> None:
    del vigil
    for number in range(10, 70):
        engine.add(number)
    with engine.bending("inspect", dripping(HEAD, b" ", 0.2)):
        eventually(lambda: "Docker was too slow" in sidecar.warnings(), "a warning")
        assert sidecar.snapshot()["stale"] is False


def test_a_ledger_folder_that_cannot_be_used_is_said_and_watching_goes_on(
    sidecar: WholeSidecar, vigil: Vigil, folder: Path
) -> None:
    assert sidecar.end() == 0
    for file in (folder / "ledger").iterdir():
        file.unlink()
    (folder / "ledger").rmdir()
    (folder / "ledger").write_text("no folder")
    sidecar.environ["TMPDIR"] = str(folder)
    sidecar.begin_again()
    eventually(sidecar.snapshot, "a first Snapshot")
    vigil.all_lives("a ledger that is none")
    assert "the ledger cannot be kept in" in health(sidecar)
    assert ledger_up(sidecar) == "locust_kit_ledger_up 0"


def test_two_sidecars_never_write_one_ledger(sidecar: WholeSidecar, vigil: Vigil, folder: Path) -> None:
    del vigil
    second = WholeSidecar(folder, sidecar.environ["DOCKER_HOST"], TMPDIR=str(folder))
    try:
        eventually(second.snapshot, "a first Snapshot of the second")
        assert "another monitor writes to it" in health(second)
        assert ledger_up(sidecar) == "locust_kit_ledger_up 1"
    finally:
        second.close()


def test_a_ledger_that_is_removed_is_begun_anew_and_that_is_said(
    sidecar: WholeSidecar, vigil: Vigil, folder: Path
) -> None:
    vigil.all_lives("the start")
    for file in (folder / "ledger").glob("*.db*"):
        file.unlink()
    eventually(lambda: "ledger.db was removed" in health(sidecar), "a sentence about the ledger")
    eventually((folder / "ledger" / "ledger.db").exists, "a new file")


def test_without_a_cgroup_tree_it_says_that_counts_are_estimates(folder: Path, engine: HostileEngine) -> None:
    sidecar = WholeSidecar(folder, engine.url)
    try:
        eventually(lambda: "OOM kills are estimates" in sidecar.warnings(), "a warning")
    finally:
        sidecar.close()


def test_a_container_whose_counter_is_not_found_is_named(sidecar: WholeSidecar, vigil: Vigil) -> None:
    del vigil
    eventually(lambda: "OOM counter of 2 containers cannot be found" in sidecar.warnings(), "a warning")


def test_it_ends_soon_and_well_while_the_engine_is_frozen(
    sidecar: WholeSidecar, engine: HostileEngine, vigil: Vigil
) -> None:
    vigil.all_lives("the start")
    with engine.bending("list", lambda _: time.sleep(60)), engine.bending("stats", lambda _: time.sleep(60)):
        time.sleep(1)
        assert sidecar.end(seconds=30) == 0
    assert "Traceback" not in sidecar.said()


def test_a_ledger_survives_kills_at_any_moment_with_each_incident_once(
    sidecar: WholeSidecar, engine: HostileEngine, vigil: Vigil, folder: Path
) -> None:
    del vigil
    box, made = engine.boxes[box_id(2)], 0
    for _ in range(4):
        for _ in range(10):
            engine.restart(box)
            made += 1
            time.sleep(0.05)
        sidecar.end(signal.SIGKILL)
        sidecar.begin_again()
        eventually(sidecar.snapshot, "a Snapshot after a kill")
    eventually(lambda: sum(incident["count"] for incident in sidecar.incidents("restart")) == made, f"{made} restarts")
    with sqlite3.connect(folder / "ledger" / "ledger.db") as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize(
    "path",
    [
        "/api/logs?since=9999-12-31T23:59:59Z",
        "/api/logs?until=0001-01-01T00:00:00Z",
        "/api/history?since=0001-01-01T00:00:00Z&until=0001-01-02T00:00:00Z",
        "/api/incidents/%00",
        "/api/logs?q=%25_%00%5C",
    ],
)
def test_no_question_is_answered_with_500(sidecar: WholeSidecar, vigil: Vigil, path: str) -> None:
    del vigil
    assert sidecar.get(path)[0] != 500


def test_thousands_of_containers_that_come_and_go_leave_nothing_open(
    sidecar: WholeSidecar, engine: HostileEngine, vigil: Vigil
) -> None:
    vigil.all_lives("the start")
    before = sidecar.descriptors()
    for generation in range(4):
        boxes = [engine.add(1000 + 500 * generation + number) for number in range(200)]
        for box in boxes:
            engine.happen("start", box.id, {"name": box.name, **box.all_labels()})
        eventually(lambda: len(sidecar.snapshot()["containers"]) > 200, "all of them seen")
        for box in boxes:
            del engine.boxes[box.id]
            engine.happen("destroy", box.id, {"name": box.name, **box.all_labels()})
        eventually(lambda: len(sidecar.snapshot()["containers"]) == 3, "none of them left")
    vigil.all_lives("many containers")
    eventually(lambda: sidecar.descriptors() <= before + 8, f"{before} descriptors again: {sidecar.descriptors()}")


def test_no_escape_reaches_a_document(sidecar: WholeSidecar, engine: HostileEngine, vigil: Vigil) -> None:
    box = engine.add(9, labels={"com.docker.compose.service": "\x1b[31mred\x1b]0;title\x07"}, state="\x1b[2Jrunning")
    eventually(lambda: len(sidecar.snapshot()["containers"]) == 4, "the container")
    eventually(lambda: engine.asked["logs"] >= 4, "its log followed")
    engine.write(box, b"\x1b[31mred\x1b]0;title\x07 \xff <script> mark")
    eventually(lambda: sidecar.json(f"/api/logs?q={quote('<script> mark')}").get("lines"), "the line")
    vigil.all_lives("escapes")
    for path in ("/api/snapshot", "/api/logs", "/api/incidents", "/metrics"):
        text = sidecar.get(path)[1]
        assert b"\x1b" not in text
        assert b"\\u001b" not in text


def test_the_ledger_lock_is_left_behind_by_nobody(sidecar: WholeSidecar, vigil: Vigil) -> None:
    del vigil
    sidecar.end(signal.SIGKILL)
    sidecar.begin_again()
    eventually(sidecar.snapshot, "a Snapshot after a kill")
    assert "another monitor" not in health(sidecar)
