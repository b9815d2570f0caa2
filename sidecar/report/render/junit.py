"""A run as JUnit XML: one case for the verdict on the measurement, one for each threshold. Pure.

Valid by both schemas that are in use, Jenkins' (junit-10.xsd) and Ant's (JUnit.xsd). The second has no text in a case
that holds, so the figures of all thresholds stand in the suite's `system-out`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.report.render.templates import template


def render(document: Mapping[str, Any]) -> bytes:
    """Return the file: what is only reported is a skipped case, what broke the measurement an error, not a failure."""
    return (template("junit.xml.j2").render(document) + "\n").encode()
