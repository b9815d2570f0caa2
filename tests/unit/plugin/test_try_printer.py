"""The line that `make try` prints of a request; real ones are in tests/process/plugin."""

from __future__ import annotations

import pytest
from locust_kit.try_once import Printer


def test_a_request_without_a_time_is_a_line_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer()
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
