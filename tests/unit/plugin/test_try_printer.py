"""The line that `make try` prints of a request; real ones are in tests/process/plugin."""

from __future__ import annotations

import pytest
from locust.stats import RequestStats
from locust_kit.try_once import Printer


def test_a_request_without_a_time_is_a_line_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(RequestStats())
    printer.request("GET", "/a", 12.34, 5, None)
    printer.request("RPC", "call", None, None, OSError("refused"))
    printer.request(name="bare")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "  ok   GET      -     12.3 ms         5 B  /a",
        "  FAIL RPC      -        - ms         0 B  call",
        "       OSError: refused",
        "  ok            -        - ms         0 B  bare",
    ]
    assert (printer.requests, printer.failures) == (3, 1)


class WithoutTextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise RuntimeError


def test_texts_are_short_and_hold_no_secret_and_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    stats = RequestStats()
    printer = Printer(stats)
    printer.request("GET", "/a\x1b[2J?token=s3cr3tvalue99", None, None, WithoutTextError())
    printer.request("GET", "/b", 1, 1, OSError("Authorization: Bearer abcdef1234567890"))
    printer.request("GET", "/c", 1, 1, OSError("\u202e" + "x" * 5000))

    def raises() -> None:
        raise WithoutTextError

    assert not printer.run("Shop.secret", raises)
    out = capsys.readouterr().out
    assert "s3cr3tvalue99" not in out
    assert "abcdef1234567890" not in out
    assert "/a\\x1b[2J?token=***" in out
    assert "       WithoutTextError: <WithoutTextError without a text>" in out
    assert "FAIL Shop.secret: WithoutTextError: <WithoutTextError without a text> (" in out
    assert max(map(len, out.splitlines())) < 400
    assert all(line.isprintable() for line in out.splitlines())
    assert (stats.total.num_requests, stats.total.num_failures) == (3, 3)
