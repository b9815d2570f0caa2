"""What failed in a run, as plain text: `failure_analysis_report.txt`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.report.render.templates import template

FILE = "failure_analysis_report.txt"


def render(document: Mapping[str, Any]) -> str:
    """Return the text."""
    line = document["timeline"]
    counts = [sum(column) for column in zip(*line["failures"].values(), strict=True)]
    steps = [(at, count) for at, count in zip(line["at"], counts, strict=False) if count]
    return template("failures.txt.j2").render(document, steps=steps)
