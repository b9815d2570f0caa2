"""The templates beside this file (`*.j2`), and the report formats that need little more than a template.

HTML is in html.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from sidecar.common import strict_json
from sidecar.common.text import in_markdown
from sidecar.common.units import MIB, plural, whole_milliseconds
from sidecar.common.visible_text import harmless, visible
from sidecar.model import run_arguments
from sidecar.report.document import failure_rows

if TYPE_CHECKING:  # costly: Jinja2 is loaded when the first report is made, not by every command
    from jinja2 import Template

FOLDER = Path(__file__).parent
_LONGEST_EXAMPLE = 4000
_IN_ATTRIBUTES = {'"': "&quot;"}


@cache
def template(name: str, finalize: Callable[[object], object] | None = None, *, is_html: bool = False) -> Template:
    """Return a template of this folder; `finalize` is applied to each value that it writes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  costly, see above

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=is_html,  # noqa: S701  the other forms are no HTML
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "fmt": format,
        "plural": plural,
        "arguments": run_arguments.line,
        "clock": lambda moment: str(moment)[11:19],
        "whole_milliseconds": whole_milliseconds,
        "ms": lambda value: _number(value, ",.0f", " ms"),
        "percent": lambda value: _number(value, ".0f", " %"),
        "mib": lambda value: _number(value / MIB if value else value, ",.0f", " MiB"),
        "visible": lambda value: visible(str(value)),
        "t": lambda lines: escape("\n".join(visible(str(line)) for line in lines)),
        "a": lambda value: escape(visible(str(value)), _IN_ATTRIBUTES),
        "pretty": _pretty,
    }
    return environment.get_template(name)


def bounded(text: str, longest: int) -> str:
    """Return a text of at most this length, with "…" if it was cut."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def _pretty(example: object) -> str:
    return harmless(bounded(strict_json.dumps(example, indent=1, ensure_ascii=False), _LONGEST_EXAMPLE), keep="\n")


def _number(value: object, spec: str, unit: str) -> str:
    return f"{float(value):{spec}}{unit}" if isinstance(value, int | float) else "–"


def junit(document: Mapping[str, Any]) -> bytes:
    """Return the file. A threshold that is only reported is a skipped case; a broken measurement is an error.

    The file is valid by both JUnit schemas. Ant's schema allows no text in a passing case, so `system-out` has the
    figures.
    """
    return (template("junit.xml.j2").render(document) + "\n").encode()


_MOST_BYTES = 59 * 1024
_LONGEST_CELL = 160


def markdown(document: Mapping[str, Any]) -> str:
    """Return the text. Beyond the limit it is cut at a line, with a note."""
    everything = {"method": "", "name": "all", **document["figures"]}
    rows = {"everything": everything, "failed": failure_rows(document)}
    written = template("report.md.j2", _plain_markdown).render({"comparison": None, **document}, **rows)
    kept, left = [], _MOST_BYTES
    for line in written.removesuffix("\n").split("\n"):
        left -= len(line.encode()) + 1
        if left < 0:
            kept += ["", "Cut here: the rest is in report.json."]
            break
        kept.append(line)
    return "\n".join(kept) + "\n"


def _plain_markdown(text: object) -> str:
    """Return a text that Markdown shows unchanged, in one line of bounded length."""
    return in_markdown(str(text), _LONGEST_CELL)


def _plain_line(value: object) -> str:
    return harmless(str(value))


FAILURES_FILE = "failure_analysis_report.txt"


def failures_text(document: Mapping[str, Any]) -> str:
    """Return the text."""
    line = document["timeline"]
    counts = [sum(column) for column in zip(*line["failures"].values(), strict=True)]
    steps = [(at, count) for at, count in zip(line["at"], counts, strict=False) if count]
    return template("failures.txt.j2", _plain_line).render(document, steps=steps)
