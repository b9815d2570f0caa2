"""Whether a locustfile can run: imported inside the image, with the packages a run would have. Prints one JSON line."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from locust import FastHttpUser, HttpUser

from locust_kit import SCHEMA_VERSION
from locust_kit.syntax_rules import look
from locust_kit.user_code import Loaded, load


def document(loaded: Loaded) -> dict[str, Any]:
    """Return the answer as JSON."""
    warnings = look(loaded)
    return {
        "schema_version": SCHEMA_VERSION,
        "passed": not loaded.problems,
        "user_classes": [
            {
                "name": name,
                "host": user.host,
                "http": issubclass(user, HttpUser | FastHttpUser),
                "weight": user.weight,
                "tags": sorted(_tags(user.tasks)),
            }
            for name, user in loaded.users.items()
        ],
        "shape_class": type(loaded.shapes[0]).__name__ if loaded.shapes else None,
        "problems": [asdict(problem) for problem in loaded.problems],
        "warnings": [asdict(warning) for warning in warnings],
    }


def _tags(tasks: list[Any]) -> set[str]:
    tags: set[str] = set()
    for task in tasks:
        tags |= set(getattr(task, "locust_tag_set", ()))
        tags |= _tags(getattr(task, "tasks", []))
    return tags


def main() -> int:
    """Print the answer on standard output; whatever the user's code prints goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        loaded = load(os.environ["LOCUST_LOCUSTFILE"])
        answer = document(loaded)
    print(json.dumps(answer), flush=True)
    return 0 if not loaded.problems else 1
