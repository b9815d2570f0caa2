"""No document of the plugin's holds what JSON has no word for, and none is left out for it."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import flask
import pytest
from locust_kit.failures import files
from locust_kit.failures.classes import FailureClass
from locust_kit.failures.records import Record
from locust_kit.strict_json import StrictProvider, dumps
from locust_kit.timeline import FILE, append
from locust_kit.writer import write_documents

ODD: dict[Any, Any] = {
    "nan": math.nan, "inf": [math.inf, -math.inf], "number": 1.5, "text": "é", "none": None, "yes": True,
    "object": {1, 2}, "half": "\ud83d", 5: {"deep": [math.nan]},
}  # fmt: skip


def strict(text: str | bytes) -> Any:
    def refused(name: str) -> Any:
        raise AssertionError(name)

    return json.loads(text, parse_constant=refused)


def test_what_is_no_number_becomes_null_and_what_is_no_json_its_text() -> None:
    found = strict(dumps(ODD))
    assert (found["nan"], found["inf"], found["number"], found["text"]) == (None, [None, None], 1.5, "é")
    assert (found["yes"], found["object"], found["5"]) == (True, [1, 2], {"deep": [None]})


def test_what_is_sound_is_written_as_it_always_was() -> None:
    sound = {"a": [1, 2.5, "é", None, True]}
    assert dumps(sound, ensure_ascii=False, separators=(",", ":")) == '{"a":[1,2.5,"é",null,true]}'


def test_the_files_of_a_run_are_strict(tmp_path: Path) -> None:
    write_documents(tmp_path, {"end.json": ODD})
    assert strict((tmp_path / "end.json").read_bytes())["nan"] is None
    append(tmp_path, [{"at": datetime.now(UTC).isoformat(), "rps": math.nan}])
    assert strict((tmp_path / FILE).read_bytes())["rps"] is None
    row = Record(1.0, "U", "GET", "/", "", 0, math.nan, 0, "E", "half \ud83d", FailureClass.OTHER, "E")
    files.append(tmp_path, [row])
    assert strict((tmp_path / files.ROWS).read_bytes())["response_ms"] is None


@pytest.mark.parametrize("page", ["figures", "plain"])
def test_the_web_pages_of_the_master_are_strict(page: str) -> None:
    app = flask.Flask("locust")
    app.json = StrictProvider(app)
    app.add_url_rule("/figures", "figures", lambda: {"avg": math.nan, "name": "é"})
    app.add_url_rule("/plain", "plain", lambda: {"avg": 1.5, "name": "é"})
    answer = app.test_client().get(f"/{page}")
    assert strict(answer.data) == {"avg": None if page == "figures" else 1.5, "name": "é"}


def test_an_object_that_json_does_not_know_leaves_no_page_out() -> None:
    app = flask.Flask("locust")
    app.json = StrictProvider(app)
    app.add_url_rule("/odd", "odd", lambda: {"value": frozenset({1}), "name": "é"})
    assert strict(app.test_client().get("/odd").data) == {"value": [1], "name": "é"}
