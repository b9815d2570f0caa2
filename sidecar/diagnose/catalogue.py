"""Read the catalogue of causes from catalogue.yaml: the words, symptoms and fixes of each cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("catalogue.yaml")
LAYERS = ("host", "configuration", "containers", "topology", "network", "locust", "target", "monitor")


@dataclass(frozen=True, slots=True)
class FixTemplate:
    """One way to fix a cause. Without commands, the text is a manual step. Both are templates."""

    text: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause. `order` is its place in the order of dependency, `explains` has the slugs of its symptoms."""

    slug: str
    code: str
    layer: str
    order: int
    title: str
    cause: str
    impact: str
    fixes: Mapping[str, FixTemplate]
    explains: frozenset[str]
    reaches_all: bool

    def fix(self, case: str) -> FixTemplate:
        """Return the fix for one case."""
        return self.fixes.get(case) or self.fixes["default"]


@cache
def causes(file: Path = FILE) -> Mapping[str, Cause]:
    """Return every cause of one catalogue by its slug, in order of dependency."""
    document = yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506  a safe one, in C where there is one
    groups: Mapping[str, Sequence[str]] = document.get("groups") or {}
    return {row["slug"]: _cause(row, order, groups) for order, row in enumerate(document["causes"])}


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _cause(row: Mapping[str, Any], order: int, groups: Mapping[str, Sequence[str]]) -> Cause:
    explains = {slug for entry in row.get("explains") or [] for slug in _slugs(entry, groups)}
    return Cause(
        slug=row["slug"],
        code=row["code"],
        layer=row["layer"],
        order=order,
        title=row["title"],
        cause=row["cause"],
        impact=row["breaks"],
        fixes={case: FixTemplate(fix["text"], tuple(fix.get("commands") or ())) for case, fix in row["fixes"].items()},
        explains=frozenset(explains - {row["slug"]}),
        reaches_all=row.get("reach") == "all",
    )


def _slugs(entry: str, groups: Mapping[str, Sequence[str]]) -> Sequence[str]:
    return groups[entry[1:]] if entry.startswith("@") else (entry,)


class TemplateValues(dict[str, str]):
    """Values for a template. A name without a value is shown as <name>."""

    def __missing__(self, key: str) -> str:
        """Return the text for a name that has no value."""
        return f"<{key}>"


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template filled with its values."""
    return template.format_map(TemplateValues(values))
