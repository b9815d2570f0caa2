"""Settings that `kit` has not checked: an invalid one is logged in one line, and the default holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from locust_kit import env
from locust_kit.memory import Memory
from locust_kit.push.settings import PushSettings


@pytest.fixture(autouse=True)
def nothing_said_yet() -> None:
    """Each test hears every line."""
    env._warn.cache_clear()


@pytest.mark.parametrize(
    ("text", "wanted"), [("5%", 0.05), ("0.02", 0.02), ("12.5%", 0.125), ("1", 1.0), ("", 0.5)], ids=str
)
def test_a_share_is_read_as_the_setting_writes_it(text: str, wanted: float) -> None:
    assert env.value({"S": text}, "S", env.share, 0.5) == pytest.approx(wanted)


@pytest.mark.parametrize("text", ["many", "0", "101%", "-1", "nan"])
def test_an_invalid_share_is_logged_and_the_default_holds(text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert env.value({"S": text}, "S", env.share, 0.05) == 0.05
    assert caplog.messages == [f"locust-kit: S is {text!r}, which is not valid; using 0.05"]


def _spool(environ: Mapping[str, str]) -> object:
    found = PushSettings.of({"KIT_PUSH_URL": "http://in.invalid/", **environ})
    return found and found.spool_bytes


@pytest.mark.parametrize(
    ("name", "text", "read", "default"),
    [
        ("KIT_TRACE_MEMORY", "yes", lambda environ: Memory.of(environ).traced, False),
        ("KIT_GC_FREEZE", "on", lambda environ: Memory.of(environ).frozen, False),
        ("KIT_GC_THRESHOLDS", "1,,2", lambda environ: Memory.of(environ).thresholds, ()),
        ("KIT_GC_THRESHOLDS", "1,2,3,4", lambda environ: Memory.of(environ).thresholds, ()),
        ("KIT_PUSH_SPOOL_MEGABYTES", "lots", _spool, 64 << 20),
    ],
)
def test_an_invalid_setting_is_logged(
    name: str,
    text: str,
    read: Callable[[Mapping[str, str]], Any],
    default: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = tmp_path / "key"
    key.write_text("k")
    assert read({name: text, "KIT_PUSH_KEY_FILE": str(key)}) == default
    assert [line for line in caplog.messages if f"{name} is {text!r}" in line] == caplog.messages != []
