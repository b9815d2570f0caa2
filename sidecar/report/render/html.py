"""A run as one HTML file without scripts or downloads, for screen and paper, light and dark. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from sidecar.common.visible_text import visible
from sidecar.report.render import pictures
from sidecar.report.render.shapes import Area, Box, Picture, Point, Polyline, Shape
from sidecar.report.render.templates import FOLDER, bounded, template

_LONGEST_TEXT = 400

Document = Mapping[str, Any]


def render(document: Document) -> str:
    """Return the file. Text from outside is escaped, never markup."""
    from markupsafe import Markup  # noqa: PLC0415  costly, as Jinja2 is

    return template("report.html.j2", _bounded, is_html=True).render(
        {"comparison": None, **document},
        style=Markup((FOLDER / "report.css").read_text(encoding="utf-8")),  # noqa: S704  ours
        charts=_charts(document),
        shown_incidents=pictures.shown_incidents(document),
        endpoint_rows=_endpoints(document),
    )


def _bounded(value: object) -> object:
    """Bound the length of every value that is not our own markup, and show its control characters as escapes."""
    return value if hasattr(value, "__html__") else visible(bounded("" if value is None else str(value), _LONGEST_TEXT))


def _charts(document: Document) -> Mapping[str, object]:
    """Return the charts of each section as markup; "" if there is nothing to draw."""
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

    return Markup("").join(Markup(svg(picture, f"{prefix}-{number}")) for number, picture in enumerate(drawn))  # noqa: S704  svg escapes


def _endpoints(document: Document) -> list[tuple[Mapping[str, Any], object, object]]:
    """Return each endpoint with the p95 of successful and failed requests, sorted by total time."""
    times = {(endpoint["method"], endpoint["name"]): endpoint for endpoint in document["times"]["endpoints"]}

    def part(end: Mapping[str, Any], name: str) -> object:
        found = times.get((str(end["method"] or ""), str(end["name"]))) or {}
        return (found.get(name) or {}).get("p95_ms")

    ends = sorted(document["endpoints"], key=lambda end: -(end["requests"] * (end["average_ms"] or 0)))
    return [(end, part(end, "good"), part(end, "failed")) for end in ends]


def svg(picture: Picture, identity: str) -> str:
    """Return a picture as SVG; `identity` makes the id of its title unique in the page.

    Colours are CSS classes, so the page sets them for light, dark and paper.
    """
    label = f"{identity}-title"
    size = {"viewBox": f"0 0 {_n(picture.width)} {_n(picture.height)}", "role": "img", "aria-labelledby": label}
    head = f'<title id="{label}">{escape(visible(f"{picture.title}. {picture.description}"))}</title>'
    return _element("svg", {**size, "class": "chart"}, head + "".join(map(_shape, picture.shapes)))


def _shape(shape: Shape) -> str:
    if isinstance(shape, Polyline):
        dash = {"stroke-dasharray": "5 4"} if shape.is_dashed else {}
        line = {"class": f"l {shape.role}", "points": _points(shape.points), "stroke-width": shape.width}
        return _element("polyline", {**line, **dash})
    if isinstance(shape, Area):
        area = {"class": f"f {shape.role}", "points": _points(shape.points), "fill-opacity": shape.opacity}
        return _element("polygon", area)
    if isinstance(shape, Box):
        size = {"width": max(0.0, shape.width), "height": max(0.0, shape.height)}
        box = {"class": f"f {shape.role}", "x": shape.x, "y": shape.y, **size, "fill-opacity": shape.opacity}
        return _element("rect", box, f"<title>{escape(visible(shape.title))}</title>" if shape.title else "")
    place = {"x": shape.x, "y": shape.y, "text-anchor": shape.anchor, "font-size": shape.size}
    weight = {"font-weight": "600"} if shape.is_bold else {}
    return _element("text", {"class": f"t {shape.role}", **place, **weight}, escape(visible(shape.text)))


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _element(name: str, attributes: Mapping[str, Any], inner: str = "") -> str:
    texts = {key: value if isinstance(value, str) else _n(value) for key, value in attributes.items()}
    written = "".join(f' {key}="{escape(text)}"' for key, text in texts.items())
    return f"<{name}{written}>{inner}</{name}>" if inner else f"<{name}{written}/>"
