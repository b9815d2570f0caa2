"""A run as one HTML file: no script, nothing fetched from anywhere, for screen and paper, light and dark. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.report.render import pictures
from sidecar.report.render.charts import svg
from sidecar.report.render.charts.shapes import Picture

if TYPE_CHECKING:  # costly: Jinja2 is loaded when the first page is made, not by every command
    from jinja2 import Template

_FOLDER = Path(__file__).parent
_LONGEST_TEXT = 400
_LONGEST_EXAMPLE = 4000
_MIB = 1 << 20

Document = Mapping[str, Any]


def render(document: Document) -> str:
    """Return the file. Whatever came from outside is text in it, never markup."""
    return _template().render(
        {"comparison": None, **document},
        facts=_facts(document),
        charts=_charts(document),
        shown_incidents=pictures.shown_incidents(document),
        endpoint_rows=_endpoints(document),
        version_list=", ".join(f"{name} {value}" for name, value in document["versions"].items() if value),
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  costly, see above
    from markupsafe import Markup  # noqa: PLC0415  the same

    def text(value: object) -> object:
        """Bound the length of whatever is no markup of ours."""
        return value if isinstance(value, Markup) else _bounded("" if value is None else str(value), _LONGEST_TEXT)

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "fmt": format,
        "clock": lambda moment: str(moment)[11:19],
        "ms": lambda value: _number(value, ",.0f", " ms"),
        "percent": lambda value: _number(value, ".0f", " %"),
        "mib": lambda value: _number(value / _MIB if value else value, ",.0f", " MiB"),
        "pretty": lambda example: Markup.escape(
            _bounded(json.dumps(example, indent=1, ensure_ascii=False), _LONGEST_EXAMPLE)
        ),
    }
    environment.globals["style"] = Markup((_FOLDER / "report.css").read_text(encoding="utf-8"))  # noqa: S704  ours
    return environment.get_template("report.html.j2")


def _bounded(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


def _number(value: object, spec: str, unit: str) -> str:
    return f"{float(value):{spec}}{unit}" if isinstance(value, int | float) else "–"


def _facts(document: Document) -> str:
    """Return the line below the title."""
    settings = document["settings"]
    load = f"shape {settings['shape_class']}" if settings["shape_class"] else f"{settings['users'] or '?'} users"
    labels = " ".join(f"{name}={value}" for name, value in document["labels"].items())
    facts = (settings["host"], load, f"{document['duration_seconds']:g} s", document["started_at"], labels)
    return " · ".join(str(fact) for fact in facts if fact)


def _charts(document: Document) -> Mapping[str, object]:
    """Return the charts of each section as markup; "" where there is nothing to draw."""
    over_time = [pictures.load, pictures.rate, pictures.latency] if document["timeline"]["at"] else []
    failures = [pictures.failure_types, pictures.failure_endpoints] if document["failure_classes"] else []
    if over_time and failures:
        over_time.append(pictures.failure_timeline)
    return {
        "time": _drawn("time", (draw(document) for draw in over_time)),
        "failures": _drawn("failures", (draw(document) for draw in failures)),
        "generators": _drawn("generators", pictures.generators(document)),
    }


def _drawn(prefix: str, drawn: Iterable[Picture]) -> object:
    from markupsafe import Markup  # noqa: PLC0415  costly, see above

    return Markup("").join(Markup(svg.render(one, f"{prefix}-{number}")) for number, one in enumerate(drawn))  # noqa: S704  svg escapes


def _endpoints(document: Document) -> list[tuple[Mapping[str, Any], object, object]]:
    """Return each endpoint with the p95 of its good and of its failed requests; that which took most time first."""
    times = {(endpoint["method"], endpoint["name"]): endpoint for endpoint in document["times"]["endpoints"]}

    def part(end: Mapping[str, Any], name: str) -> object:
        found = times.get((str(end["method"] or ""), str(end["name"]))) or {}
        return (found.get(name) or {}).get("p95_ms")

    ends = sorted(document["endpoints"], key=lambda end: -(end["requests"] * (end["average_ms"] or 0)))
    return [(end, part(end, "good"), part(end, "failed")) for end in ends]
