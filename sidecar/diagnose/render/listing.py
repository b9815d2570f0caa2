"""The catalogue itself, for people: `--list` and `--explain SLUG`. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from sidecar.diagnose.catalogue import LAYERS, Blanks, Cause, causes, filled

_SLUG_WIDTH = 32


def listing() -> str:
    """Every cause, a line each, by layer."""
    return "\n".join(_list()) + "\n"


def _list() -> Iterator[str]:
    for layer in LAYERS:
        yield layer
        for cause in causes().values():
            if cause.layer == layer:
                yield f"  {cause.code}  {cause.slug:<{_SLUG_WIDTH}}{_short(filled(cause.title, Blanks()))}"


def _short(title: str) -> str:
    return textwrap.shorten(title, 70, placeholder=" …")


def explanation(cause: Cause, width: int) -> str:
    """Everything that the catalogue says of one cause."""
    return "\n".join(_explain(cause, width)) + "\n"


def _explain(cause: Cause, width: int) -> Iterator[str]:
    blanks = Blanks()
    yield f"{cause.slug}  {cause.code}  ({cause.layer})"
    yield from textwrap.wrap(filled(cause.title, blanks), width)
    yield ""
    for label, text in (("why", cause.cause), ("breaks", cause.impact)):
        yield from _wrapped(label, filled(text, blanks), width)
    if cause.explains:
        yield from _wrapped("explains", ", ".join(sorted(cause.explains)), width)
    seen: set[str] = set()
    for mend in cause.fixes.values():
        if mend.text in seen:
            continue
        seen.add(mend.text)
        yield ""
        yield from _wrapped("mend", filled(mend.text, blanks), width)
        yield from (f"      {filled(command, blanks)}" for command in mend.commands)


def _wrapped(label: str, text: str, width: int) -> Iterator[str]:
    lines = textwrap.wrap(text, width - 12, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(lines):
        yield f"  {label if number == 0 else '':<10}{line}"
