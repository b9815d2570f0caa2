"""The arguments of a run's locustfile in words, as the screen, the reports and a comparison show them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

MASK = "***"


def in_words(value: object) -> str:
    """Return a value as it is written after NAME=."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(in_words, value))
    return "" if value is None else str(value)


def line(values: Mapping[str, object]) -> str:
    """Return values in one line: `tenant=green, think=0.2`; "" without arguments."""
    return ", ".join(f"{name}={in_words(value)}" for name, value in values.items())


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """Return what changed in the second run: `tenant blue → green`; "" if nothing changed."""
    names = dict.fromkeys([*before, *after])
    return ", ".join(
        f"{name} {_shown(before, name)} → {_shown(after, name)}"
        for name in names
        if name not in before or name not in after or before[name] != after[name]
    )


def _shown(values: Mapping[str, object], name: str) -> str:
    return in_words(values[name]) or "(nothing)" if name in values else "(no such argument)"
