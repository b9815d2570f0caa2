"""Prometheus' text format, version 0.0.4. Pure.

Ours rather than prometheus_client's: that one brings 15 MB of memory, a registry that nobody here would use, and a
renderer that sorts and escapes each label of each sample at each scrape. The format is these few lines, and promtool
judges them in a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Family:
    """One metric name with its samples. `kind` is counter, gauge, histogram or untyped."""

    name: str
    kind: str
    help: str
    lines: list[str] = field(default_factory=list)

    def add(self, value: float | None, labels: str = "", suffix: str = "") -> None:
        """Add a sample; None adds nothing. `labels` are as `labels()` wrote them."""
        if value is not None:
            self.lines.append(f"{self.name}{suffix}{f'{{{labels}}}' if labels else ''} {number(value)}")


def labels(values: Mapping[str, str]) -> str:
    """Write labels, to be put between the braces."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())


def joined(first: str, **more: str) -> str:
    """Append labels to written ones."""
    return f"{first},{labels(more)}" if first else labels(more)


def text(families: Iterable[Family]) -> str:
    """Write families as one document; those without a sample are left out."""
    parts: list[str] = []
    for family in families:
        if family.lines:
            parts.append(f"# HELP {family.name} {_escaped_help(family.help)}")
            parts.append(f"# TYPE {family.name} {family.kind}")
            parts += family.lines
    return "\n".join(parts) + "\n"


def number(value: float) -> str:
    """Write a number as Go reads it: whole ones without a point, all others with every digit that matters."""
    return str(value) if isinstance(value, int) else repr(float(value))


def _escaped(value: str) -> str:
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def _escaped_help(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")
