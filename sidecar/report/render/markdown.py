"""A run as Markdown, for a pull request or a CI job's summary: under 60 KiB whatever happened. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidecar.report.render.templates import bounded, template

_MOST_BYTES = 59 * 1024
_LONGEST_CELL = 160
_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]()<>#|~"} | {"\n": " ", "\r": " "})


def render(document: Mapping[str, Any]) -> str:
    """Return the text; what goes beyond the limit is cut at a line, and said."""
    everything = {"method": "", "name": "all", **document["figures"]}
    written = template("report.md.j2", _plain).render({"comparison": None, **document}, everything=everything)
    kept, left = [], _MOST_BYTES
    for line in written.removesuffix("\n").split("\n"):
        left -= len(line.encode()) + 1
        if left < 0:
            kept += ["", "Cut here: the rest is in report.json."]
            break
        kept.append(line)
    return "\n".join(kept) + "\n"


def _plain(text: object) -> str:
    """Return a text that Markdown shows as it is, in one line of bounded length."""
    return bounded(str(text), _LONGEST_CELL).translate(_SPECIAL)
