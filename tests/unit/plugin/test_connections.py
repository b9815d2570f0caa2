"""Time-outs and pools that are really applied, to both HTTP users, and only where a test says nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.plugin.programs import printed

PROGRAM = Path(__file__).with_name("real_connections.py")
PATIENCE_SECONDS = "1"


def outcomes(**environ: str) -> dict[str, Any]:
    found: dict[str, Any] = printed(PROGRAM, PATIENCE_SECONDS, **environ)
    return found


def test_settings_reach_both_users_and_what_a_test_says_comes_first() -> None:
    assert outcomes(KIT_CONNECT_TIMEOUT="0.2", KIT_READ_TIMEOUT="0.3", KIT_POOL_SIZE="3") == {
        "said": "connect within 0.2, answer within 0.3, connections a user 3",
        "HttpUser, no answer": "read_timeout",
        "HttpUser, no connection": "connection_timeout",
        "HttpUser, pool": "3",
        "HttpUser, its own argument": "waits",
        "FastHttpUser, no answer": "read_timeout",
        "FastHttpUser, no connection": "connection_timeout",
        "FastHttpUser, pool": "3",
        "FastHttpUser, its own attribute": "waits",
    }


def test_without_settings_nothing_is_changed() -> None:
    found = outcomes()
    assert found.pop("said") == ""
    assert (found.pop("HttpUser, pool"), found.pop("FastHttpUser, pool")) == ("10", "10")
    assert set(found.values()) == {"waits"}
