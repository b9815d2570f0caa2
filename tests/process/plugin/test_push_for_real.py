"""The push under gevent, to receivers on the loopback that misbehave: nothing lost, nothing doubled by key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.process.plugin.programs import printed

PROGRAM = Path(__file__).with_name("real_push.py")
RUN = "20261126T120000Z-ab12"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    made: Path = tmp_path_factory.mktemp("push")
    return made


@pytest.fixture(scope="module")
def left(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = printed(PROGRAM, "leave", folder)
    return found


@pytest.fixture(scope="module")
def everything(folder: Path, left: dict[str, Any]) -> dict[str, Any]:
    assert left["found"]["waiting_rows"] == 700
    found: dict[str, Any] = printed(PROGRAM, "all", folder)
    return found


@pytest.fixture(scope="module")
def found(everything: dict[str, Any]) -> dict[str, Any]:
    outcomes: dict[str, Any] = everything["found"]
    return outcomes


def assert_all_there_once(outcome: dict[str, Any], rows: int) -> None:
    assert outcome["is_empty"]
    assert (outcome["rows"], outcome["distinct"], outcome["status"]["sent_rows"]) == (rows, rows, rows)
    assert (outcome["status"]["dropped_rows"], outcome["status"]["refused_rows"]) == (0, 0)


def test_rows_wait_for_a_receiver_that_is_down(found: dict[str, Any]) -> None:
    outcome = found["down then up"]
    assert (outcome["was_tried"], outcome["waited"]) == (True, 3)
    assert_all_there_once(outcome, 3)


@pytest.mark.parametrize(("way", "requests"), [("500", 3), ("429", 2), ("hang", 3), ("401", 3), ("redirect", 3)])
def test_a_batch_is_tried_until_it_is_accepted_under_one_key(found: dict[str, Any], way: str, requests: int) -> None:
    outcome = found[way]
    assert_all_there_once(outcome, 3)
    assert outcome["keys"] == [f"{RUN}-1"] * requests
    assert outcome["status"]["retries"] == requests - 1


def test_while_a_receiver_hangs_the_master_goes_on(found: dict[str, Any]) -> None:
    assert found["hang"]["ticks"] > 20


def test_while_the_disk_hangs_the_master_goes_on_and_hears_of_the_error(found: dict[str, Any]) -> None:
    assert found["slow disk"]["ticks"] > 10
    assert found["slow disk"]["raised"] == "No space left on device"


def test_rows_beyond_a_full_batch_do_not_wait_for_more(found: dict[str, Any]) -> None:
    assert_all_there_once(found["more than a batch"], 700)


def test_what_was_accepted_before_the_connection_broke_is_sent_again_under_its_key(found: dict[str, Any]) -> None:
    outcome = found["cut after accepting"]
    assert outcome["accepted_twice"] == 2
    assert outcome["keys"] == [f"{RUN}-1"] * 3 + [f"{RUN}-2", f"{RUN}-3"]
    assert (outcome["is_empty"], outcome["rows"], outcome["status"]["sent_rows"]) == (True, 1200, 1200)


def test_a_redirect_gets_neither_the_batch_nor_the_key(found: dict[str, Any]) -> None:
    assert found["redirect"]["elsewhere"] == 0


def test_a_batch_that_is_too_large_arrives_in_pieces(found: dict[str, Any]) -> None:
    outcome = found["413"]
    assert_all_there_once(outcome, 500)
    assert outcome["keys"][:3] == [f"{RUN}-1", f"{RUN}-1.1", f"{RUN}-1.1.1"]


def test_a_refused_batch_is_counted(found: dict[str, Any]) -> None:
    status = found["422"]["status"]
    assert (status["refused_rows"], status["sent_rows"], status["last_error"]) == (3, 0, "status 422")


def test_what_has_no_room_in_the_spool_is_counted(found: dict[str, Any]) -> None:
    outcome = found["over the limit"]
    assert outcome["largest"] <= 200_000
    assert outcome["status"]["dropped_rows"] > 0
    assert outcome["status"]["dropped_rows"] + outcome["status"]["sent_rows"] == 2000


def test_the_end_of_a_run_sends_and_the_end_of_the_master_keeps(found: dict[str, Any]) -> None:
    assert found["end"] == {"was_sent": True, "kept": ["000002.json"]}


def test_a_fault_of_the_push_is_one_warning_and_it_goes_on(everything: dict[str, Any]) -> None:
    assert everything["found"]["fault"]["status"]["sent_rows"] == 2
    assert everything["log"].count("the run goes on: AttributeError") == 1


def test_a_new_master_sends_what_the_old_one_left(found: dict[str, Any]) -> None:
    outcome = found["restart"]
    assert_all_there_once({**outcome, "distinct": 700}, 700)
    assert outcome["keys"] == [f"{RUN}-1", f"{RUN}-2"]


def test_key_and_query_are_in_no_log_and_no_status(everything: dict[str, Any], left: dict[str, Any]) -> None:
    kit = [line for line in everything["log"].splitlines() if "locust_kit" in line]
    assert kit
    assert "hunter2" not in json.dumps([everything, left])
    assert "hunter3" not in json.dumps([everything["found"], left["found"], kit])
    assert all(
        outcome["status"]["url"].startswith("127.0.0.1:")
        for outcome in everything["found"].values()
        if "status" in outcome
    )
