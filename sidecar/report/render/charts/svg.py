"""A picture as SVG. Colours are classes, which the page around it fills in for light, dark and paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from sidecar.report.render.charts.shapes import Area, Box, Picture, Point, Polyline, Shape, TextLabel


def render(picture: Picture, identity: str) -> str:
    """The element; `identity` makes its title's id one of its own in the page."""
    label = f"{identity}-title"
    size = {"viewBox": f"0 0 {_n(picture.width)} {_n(picture.height)}", "role": "img", "aria-labelledby": label}
    head = f'<title id="{label}">{escape(f"{picture.title}. {picture.description}")}</title>'
    return _element("svg", {**size, "class": "chart"}, head + "".join(map(_shape, picture.shapes)))


def _shape(shape: Shape) -> str:
    if isinstance(shape, Polyline):
        dash = {"stroke-dasharray": "5 4"} if shape.is_dashed else {}
        width = {"stroke-width": _n(shape.width)}
        return _element("polyline", {"class": f"l {shape.role}", "points": _points(shape.points), **width, **dash})
    if isinstance(shape, Area):
        opacity = {"fill-opacity": _n(shape.opacity)}
        return _element("polygon", {"class": f"f {shape.role}", "points": _points(shape.points), **opacity})
    if isinstance(shape, Box):
        place = {"x": shape.x, "y": shape.y, "width": max(0.0, shape.width), "height": max(0.0, shape.height)}
        title = f"<title>{escape(shape.title)}</title>" if shape.title else ""
        placed = {name: _n(value) for name, value in place.items()}
        return _element("rect", {"class": f"f {shape.role}", **placed, "fill-opacity": _n(shape.opacity)}, title)
    return _text(shape)


def _text(label: TextLabel) -> str:
    weight = {"font-weight": "600"} if label.is_bold else {}
    where = {"x": _n(label.x), "y": _n(label.y), "text-anchor": label.anchor, "font-size": _n(label.size)}
    return _element("text", {"class": f"t {label.role}", **where, **weight}, escape(label.text))


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _element(name: str, attributes: Mapping[str, Any], inner: str = "") -> str:
    told = "".join(f' {key}="{escape(str(value))}"' for key, value in attributes.items())
    return f"<{name}{told}>{inner}</{name}>" if inner else f"<{name}{told}/>"
