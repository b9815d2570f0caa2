"""A picture as a PNG file: the same shapes in the colours of paper, at double size."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from sidecar.report.render.shapes import Area, Box, Picture, Point, Polyline, Role, TextLabel

_SCALE = 2
_MARGIN = 14  # px around the picture
_PAPER = (255, 255, 255)
COLOURS = {
    Role.INK: (27, 31, 36),
    Role.FAINT: (87, 96, 106),
    Role.ON: (255, 255, 255),
    Role.GRID: (222, 226, 231),
    Role.GOOD: (26, 127, 75),
    Role.BAD: (196, 43, 43),
    Role.WARN: (176, 101, 0),
    Role.FIRST: (31, 99, 201),
    Role.SECOND: (201, 97, 16),
    Role.THIRD: (26, 127, 100),
    Role.FOURTH: (196, 43, 43),
    Role.FIFTH: (126, 74, 201),
    Role.SIXTH: (110, 119, 129),
}
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}
_DASH, _GAP = 5.0, 4.0


def render(picture: Picture) -> bytes:
    """Return the file."""
    size = (round((picture.width + 2 * _MARGIN) * _SCALE), round((picture.height + 2 * _MARGIN) * _SCALE))
    image = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(image)
    for shape in picture.shapes:
        if isinstance(shape, Polyline):
            _line(draw, shape)
        elif isinstance(shape, Area):
            draw.polygon(_scaled(shape.points), fill=_mixed(shape.role, shape.opacity))
        elif isinstance(shape, Box):
            if shape.width > 0 and shape.height > 0:
                corners = ((shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height))
                draw.rectangle(_scaled(corners), fill=_mixed(shape.role, shape.opacity))
        else:
            _text(draw, shape)
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return written.getvalue()


def _line(draw: ImageDraw.ImageDraw, line: Polyline) -> None:
    width = max(1, round(line.width * _SCALE))
    parts = _dashes(line.points) if line.is_dashed else [line.points]
    for part in parts:
        if len(part) > 1:
            draw.line(_scaled(part), fill=COLOURS[line.role], width=width, joint="curve")


def _dashes(points: tuple[Point, ...]) -> list[tuple[Point, ...]]:
    """Return the dashes of a straight line from the first point to the last."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    dashes, at = [], 0.0
    while at < length:
        end = min(length, at + _DASH)
        dashes.append(tuple((x0 + (x1 - x0) * place / length, y0 + (y1 - y0) * place / length) for place in (at, end)))
        at = end + _GAP
    return dashes


def _text(draw: ImageDraw.ImageDraw, label: TextLabel) -> None:
    font = ImageFont.load_default(label.size * _SCALE)
    (place,) = _scaled(((label.x, label.y),))
    stroke = 0.25 * _SCALE if label.is_bold else 0
    draw.text(place, label.text, COLOURS[label.role], font, anchor=_ANCHORS[label.anchor], stroke_width=stroke)


def _scaled(points: tuple[Point, ...]) -> list[tuple[float, float]]:
    return [((x + _MARGIN) * _SCALE, (y + _MARGIN) * _SCALE) for x, y in points]


def _mixed(role: Role, opacity: float) -> tuple[int, int, int]:
    """Return the colour on paper. Areas are opaque: nothing lies behind them."""
    red, green, blue = (round(opacity * part + (1 - opacity) * 255) for part in COLOURS[role])
    return red, green, blue
