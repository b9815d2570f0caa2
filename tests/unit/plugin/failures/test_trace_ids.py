"""The trace of a failed request: what the target was told of, and where it is shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from geventhttpclient.header import Headers
from locust_kit.failures import summary
from locust_kit.failures.collection import Collection
from locust_kit.failures.records import Record, record_of, trace_of, wire
from requests.structures import CaseInsensitiveDict

from tests.unit.plugin.failures.test_capture import Response, counter, fail

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENT = f"00-{TRACE}-b7ad6b7169203331-01"


def answer(headers: Any, status: int = 503) -> Any:
    response: Any = Response(status)
    response.request = SimpleNamespace(headers=headers)
    return response


@pytest.mark.parametrize("kind", [dict, CaseInsensitiveDict, Headers])
def test_the_id_is_read_from_the_header_that_either_client_sent(kind: Any) -> None:
    assert trace_of(answer(kind({"traceparent": SENT}))) == TRACE


@pytest.mark.parametrize(
    "response",
    [None, Response(), answer(None), answer({}), answer({"traceparent": "hello"}), answer({"traceparent": b"\xff"})],
)
def test_without_such_a_header_there_is_none(response: Any) -> None:
    assert trace_of(response) == ""


def test_a_row_and_its_group_name_the_trace_and_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = counter()
    fail(counted, response=answer({"traceparent": SENT}))
    report = counted.report()
    (row,) = report["rows"]
    record = record_of(row)
    assert wire(record) == row
    assert record.document()["trace_id"] == TRACE
    assert "trace_url" not in record.document()
    monkeypatch.setenv("KIT_TRACE_URL", "http://jaeger/{trace_id}?full")
    assert record.document()["trace_url"] == f"http://jaeger/{TRACE}?full"
    collection = Collection()
    collection.take("w", report)
    (group,) = summary.largest(collection)
    assert (group["trace_id"], group["trace_url"]) == (TRACE, f"http://jaeger/{TRACE}?full")


def test_an_id_that_a_worker_made_up_makes_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_TRACE_URL", "http://jaeger/{trace_id}")
    counted = counter()
    fail(counted)
    row = counted.report()["rows"][0]
    made_up: Record = record_of([*row[:-1], "../../admin"])
    assert "trace_url" not in made_up.document()
