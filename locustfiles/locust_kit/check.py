"""Check inside the image whether a locustfile can run, with the packages of a run. Print one JSON line."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from locust.argument_parser import get_parser

from locust_kit import SCHEMA_VERSION
from locust_kit.syntax_rules import look
from locust_kit.target_guard import guard_process
from locust_kit.user_code import Loaded, Problem, load, needs_host

_OPTIONS = "locust.conf, pyproject.toml or .env"


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
                "http": needs_host(user),
                "weight": user.weight,
                "tags": sorted(_tags(user.tasks)),
            }
            for name, user in loaded.users.items()
        ],
        "shape_class": next(iter(loaded.shapes), None),
        "shapes": list(loaded.shapes),
        "problems": [asdict(problem) for problem in loaded.problems],
        "warnings": [asdict(warning) for warning in warnings],
    }


def _tags(tasks: list[Any]) -> set[str]:
    tags: set[str] = set()
    for task in tasks:
        tags |= set(getattr(task, "locust_tag_set", ()))
        tags |= _tags(getattr(task, "tasks", []))
    return tags


def refused_options() -> Problem | None:
    """Return which option of locust.conf, pyproject.toml or the environment Locust rejects; None if it accepts all.

    Load the locustfiles first: they may add arguments of their own.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = get_parser().parse_args([])
    except SystemExit:
        lines = [line for line in said.getvalue().splitlines() if "error:" in line] or ["Locust exits immediately"]
        return Problem(_OPTIONS, None, "options", lines[-1].rpartition("error: ")[2], "correct or remove it there")
    return _without_opentelemetry() if getattr(options, "otel", False) else None


def _without_opentelemetry() -> Problem | None:
    """Return which module for traces is missing: Locust would only log it, and run without traces."""
    protocol = "grpc" if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc") == "grpc" else "http"
    for module in ("sdk", "instrumentation.requests", f"exporter.otlp.proto.{protocol}"):
        try:
            importlib.import_module(f"opentelemetry.{module}")
        except ImportError as error:
            text = f"traces are on, but this image cannot send them: {error}"
            fix = "use the kit's image with OTEL=http://<collector>:4318, or install locust[otel] in your image"
            return Problem(_OPTIONS, None, "traces", text, fix)
    return None


def main() -> int:
    """Print the answer on standard output; send the output of the user's code to standard error."""
    with contextlib.redirect_stdout(sys.stderr):
        guard_process(os.environ)
        loaded = load(os.environ["LOCUST_LOCUSTFILE"])
        if not loaded.problems and (problem := refused_options()):
            loaded.problems.append(problem)
        answer = document(loaded)
    print(json.dumps(answer), flush=True)
    return 0 if not loaded.problems else 1
