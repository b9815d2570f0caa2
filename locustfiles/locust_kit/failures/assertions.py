"""Group an `assert` without a text by its line: `self.rest()` only reports "Assertion failed"."""

from __future__ import annotations

import sys
from typing import Any

from locust import clients
from locust.contrib import fasthttp

from locust_kit import places
from locust_kit.patches import Patches, change_each

PLACE = "_locust_kit_place"
"""The attribute of a failed response's error with file and line of the `assert`."""


def install() -> str:
    """Store the line with the error. Return one line that describes the result."""
    changes = {"HttpUser": lambda: _change(clients), "FastHttpUser": lambda: _change(fasthttp)}
    return change_each(changes, "an assert without a text is grouped by its line")


def _change(of_client: Any) -> None:
    with Patches() as patches:
        patches.wrap(of_client.ResponseContextManager, "failure", _failure)


def _failure(original: Any, response: Any, *args: Any, **kwargs: Any) -> None:
    original(response, *args, **kwargs)
    raised, error = sys.exc_info()[1], response._manual_result  # noqa: SLF001  its only name
    if isinstance(raised, AssertionError) and not raised.args and isinstance(error, Exception):
        setattr(error, PLACE, places.of_traceback(raised.__traceback__).line)
