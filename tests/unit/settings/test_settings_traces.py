"""The settings of traces: where spans go, and where a trace is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.common.errors import SettingError
from sidecar.settings import load

LINK = "https://tempo.example/explore?trace={trace_id}&org=1"


def test_no_trace_is_made_by_itself(tmp_path: Path) -> None:
    assert (load((), {}, tmp_path).otel, load((), {}, tmp_path).trace_url) == ("", "")


@pytest.mark.parametrize(
    "url", ["http://collector:4318", "https://otlp.example/otlp", "http://host.docker.internal:4318/"]
)
def test_a_collector_is_taken_as_it_is(tmp_path: Path, url: str) -> None:
    assert load((f"OTEL={url}",), {}, tmp_path).otel == url


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("collector:4318", "an http or https URL"),
        ("http://ann:hunter2@collector:4318", "without user name and password"),
        ("http://localhost:4318", "http://host.docker.internal:4318"),
        ("http://collector:4318/v1/traces", "expected: http://collector:4318 ("),
    ],
)
def test_another_one_is_refused_with_what_to_write(tmp_path: Path, url: str, wanted: str) -> None:
    with pytest.raises(SettingError) as caught:
        load((f"OTEL={url}",), {}, tmp_path)
    assert wanted in caught.value.line()
    assert "hunter2" not in caught.value.line()


def test_a_link_needs_the_place_of_the_id(tmp_path: Path) -> None:
    assert load((f"TRACE_URL={LINK}",), {}, tmp_path).trace_url == LINK
    for url in ("https://tempo.example/trace/", "javascript:alert({trace_id})"):
        with pytest.raises(SettingError, match="trace_id"):
            load((f"TRACE_URL={url}",), {}, tmp_path)
