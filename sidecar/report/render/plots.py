"""Plots over time, and bars, as shapes. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sidecar.common.units import elapsed, plural
from sidecar.report.render.shapes import Area, Box, Picture, Polyline, Role, Shape, TextLabel

WIDTH = 960.0
_LEFT, _RIGHT, _BOTTOM = 58.0, 14.0, 24.0
_TITLE, _LEGEND, _MARK = 20.0, 18.0, 14.0
_LETTER = 6.2  # the mean width of a letter at size 12, near enough for placing legends
_NICE_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_MOST_X_TICKS = 9
_BAR, _BAR_GAP = 20.0, 10.0
_PANEL = 210.0
_LONGEST_NAME = 44

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """One series: a name, and a value at each moment or None. Stacked series are filled."""

    name: str
    values: Values
    role: Role
    is_stacked: bool = False


@dataclass(frozen=True, slots=True)
class ChartMark:
    """An event, `seconds` after the start. `until` makes it a span."""

    seconds: float
    text: str
    role: Role = Role.BAD
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """The rectangle in which values are drawn, and the ranges of its axes."""

    left: float
    top: float
    width: float
    height: float
    seconds: float
    highest: float

    def x(self, seconds: float) -> float:
        """Return the x position of a moment."""
        return self.left + self.width * (seconds / self.seconds if self.seconds else 0.0)

    def y(self, value: float) -> float:
        """Return the y position of a value."""
        return self.top + self.height * (1 - value / self.highest)


def over_time(
    title: str,
    at: Sequence[float],
    chart_series: Sequence[ChartSeries],
    *,
    unit: str = "",
    marks: Sequence[ChartMark] = (),
    height: float = 190.0,
) -> Picture:
    """Draw lines, or areas on top of each other, over the seconds of a run.

    Args:
        title: its title.
        at: seconds since the start, rising.
        chart_series: the series.
        unit: of the values.
        marks: the incidents.
        height: of the whole picture.
    """
    highest = nice(max(_highest(chart_series), 1e-9))
    top = _TITLE + _LEGEND + 4 + (_MARK if marks else 0)
    height += _MARK if marks else 0
    frame = Frame(_LEFT, top, WIDTH - _LEFT - _RIGHT, height - top - _BOTTOM, max([1.0, *at]), highest)
    shapes = [
        *_head(title, chart_series, unit),
        *_grid(frame),
        *_spans(frame, marks),
        *_stacked(frame, at, [series for series in chart_series if series.is_stacked]),
        *(line for series in chart_series if not series.is_stacked for line in _lines(frame, at, series)),
        *_marks(frame, marks),
    ]
    return Picture(WIDTH, height, title, _in_words(chart_series, unit, marks), tuple(shapes))


def bars(title: str, rows: Sequence[tuple[str, int, Role]], *, total: int | None = None) -> Picture:
    """Draw bars with their counts, one below the other; with a total, also their shares."""
    names = [_cut(name) for name, _, _ in rows]
    left = 12 + _LETTER * 1.02 * max([8, *map(len, names)])
    most = max([1, *(count for _, count, _ in rows)])
    room = WIDTH - left - 130
    shapes: list[Shape] = [TextLabel(0, 14, title, Role.INK, size=14, is_bold=True)]
    for number, (name, count, role) in enumerate(rows):
        y = _TITLE + 8 + number * (_BAR + _BAR_GAP)
        share = f" ({count / total:.1%})" if total else ""
        shapes += [
            TextLabel(left - 8, y + _BAR - 6, _cut(name), Role.INK, "end"),
            Box(left, y, max(2.0, room * count / most), _BAR, role, f"{name}: {count}{share}"),
            TextLabel(left + max(2.0, room * count / most) + 6, y + _BAR - 6, f"{count:,}{share}", Role.FAINT),
        ]
    description = ", ".join(f"{name} {count}" for name, count, _ in rows) or "nothing"
    return Picture(WIDTH, _TITLE + 12 + len(rows) * (_BAR + _BAR_GAP), title, description, tuple(shapes))


def nice(value: float) -> float:
    """Return the next higher number that reads well on an axis."""
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * size >= value * (1 - 1e-9))


def short(value: float) -> str:
    """Return a number for an axis."""
    if value >= 1_000_000:  # noqa: PLR2004
        return f"{value / 1_000_000:g}M"
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"  # noqa: PLR2004


def _highest(chart_series: Sequence[ChartSeries]) -> float:
    lines = [value for series in chart_series if not series.is_stacked for value in series.values if value is not None]
    stacked = [series.values for series in chart_series if series.is_stacked]
    sums = [sum(value or 0 for value in column) for column in zip(*stacked, strict=True)]
    return max([0.0, *lines, *sums])


def _head(title: str, chart_series: Sequence[ChartSeries], unit: str) -> Iterator[Shape]:
    yield TextLabel(0, 14, title + (f", {unit}" if unit else ""), Role.INK, size=14, is_bold=True)
    x = _LEFT
    for series in chart_series:
        yield Box(x, _TITLE + 5, 12, 8, series.role)
        yield TextLabel(x + 17, _TITLE + 13, series.name)
        x += 17 + _LETTER * len(series.name) + 18


def _grid(frame: Frame) -> Iterator[Shape]:
    for part in (0.0, 0.5, 1.0):
        y = frame.y(part * frame.highest)
        yield Polyline(((frame.left, y), (frame.left + frame.width, y)), Role.GRID, 1)
        yield TextLabel(frame.left - 6, y + 4, short(part * frame.highest), anchor="end", size=11)
    step = next((seconds for seconds in _NICE_SECONDS if frame.seconds / seconds <= _MOST_X_TICKS), 86400 * 7)
    at = 0
    while at <= frame.seconds:
        x = frame.x(at)
        yield Polyline(((x, frame.top + frame.height), (x, frame.top + frame.height + 4)), Role.GRID, 1)
        anchor = "start" if at == 0 else "middle" if x < WIDTH - _RIGHT - 12 else "end"
        yield TextLabel(x, frame.top + frame.height + 17, elapsed(at), anchor=anchor, size=11)
        at += step


def _lines(frame: Frame, at: Sequence[float], series: ChartSeries) -> Iterator[Shape]:
    """Yield a line for each stretch without a gap; a single value is a dot."""
    stretch: list[tuple[float, float]] = []
    for seconds, value in [*zip(at, series.values, strict=True), (0.0, None)]:
        if value is not None:
            stretch.append((frame.x(seconds), frame.y(value)))
            continue
        if len(stretch) == 1:
            yield Box(stretch[0][0] - 1.5, stretch[0][1] - 1.5, 3, 3, series.role)
        elif stretch:
            yield Polyline(tuple(stretch), series.role)
        stretch = []


def _stacked(frame: Frame, at: Sequence[float], chart_series: Sequence[ChartSeries]) -> Iterator[Shape]:
    """Yield the series on top of each other, each step as wide as the time to the next."""
    below = [0.0] * len(at)
    steps = [*at[1:], frame.seconds] if at else []
    for series in chart_series:
        above = [base + (value or 0) for base, value in zip(below, series.values, strict=True)]
        upper = [(x, frame.y(value)) for place, value in enumerate(above) for x in _sides(frame, at, steps, place)]
        lower = [(x, frame.y(value)) for place, value in enumerate(below) for x in _sides(frame, at, steps, place)]
        if any(value for value in series.values):
            yield Area((*upper, *reversed(lower)), series.role)
        below = above


def _sides(frame: Frame, at: Sequence[float], steps: Sequence[float], step: int) -> tuple[float, float]:
    return frame.x(at[step]), frame.x(max(at[step], min(steps[step], frame.seconds)))


def _spans(frame: Frame, marks: Sequence[ChartMark]) -> Iterator[Shape]:
    for mark in marks:
        if mark.until is not None and mark.until > mark.seconds:
            x = frame.x(max(0.0, mark.seconds))
            width = frame.x(min(mark.until, frame.seconds)) - x
            yield Box(x, frame.top, width, frame.height, mark.role, mark.text, 0.12)


def _marks(frame: Frame, marks: Sequence[ChartMark]) -> Iterator[Shape]:
    """Yield a dashed line for each mark, with its number; the list of incidents has the texts."""
    last = -math.inf
    for number, mark in enumerate(marks, 1):
        x = frame.x(min(max(0.0, mark.seconds), frame.seconds))
        yield Polyline(((x, frame.top), (x, frame.top + frame.height)), mark.role, 1.2, is_dashed=True)
        if x - last >= 16:  # noqa: PLR2004  or the numbers would lie on each other
            yield Box(x - 7, frame.top - 13, 14, 13, mark.role, mark.text)
            yield TextLabel(x, frame.top - 3, str(number), Role.ON, "middle", 10, is_bold=True)
            last = x


def _in_words(chart_series: Sequence[ChartSeries], unit: str, marks: Sequence[ChartMark]) -> str:
    sentences = []
    for series in chart_series:
        known = [value for value in series.values if value is not None]
        if known:
            sentences.append(f"{series.name} from {min(known):g} to {max(known):g}{f' {unit}' if unit else ''}")
    if marks:
        sentences.append(f"{plural(len(marks), 'incident')} marked")
    return "; ".join(sentences) or "no values"


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def by_step(
    title: str, steps: Sequence[str], panels: Sequence[tuple[str, Sequence[ChartSeries]]], *, marked: int | None = None
) -> Picture:
    """Draw panels below each other over the same steps. One step may be marked.

    Args:
        title: its title.
        steps: the names of the steps.
        panels: (title, series) of each.
        marked: the place of the step to mark.
    """
    shapes: list[Shape] = [TextLabel(0, 14, title, Role.INK, size=15, is_bold=True)]
    descriptions = []
    for number, (name, chart_series) in enumerate(panels):
        y = 30 + number * (_PANEL + 14)
        part = over_time(name, [float(place) for place in range(len(steps))], chart_series, height=_PANEL)
        frame = Frame(_LEFT, y + _TITLE + _LEGEND + 4, WIDTH - _LEFT - _RIGHT, 0, max(1.0, len(steps) - 1.0), 1.0)
        shapes += [_moved(shape, y) for shape in part.shapes if not _is_clock(shape, part)]
        for place, step in enumerate(steps):
            anchor = "start" if place == 0 else "end" if place == len(steps) - 1 else "middle"
            shapes.append(TextLabel(frame.x(place), y + _PANEL - _BOTTOM + 17, step, anchor=anchor, size=11))
        if marked is not None:
            x = frame.x(marked)
            shapes.append(Polyline(((x, frame.top), (x, y + _PANEL - _BOTTOM)), Role.WARN, 1.4, is_dashed=True))
        descriptions.append(f"{name}: {part.description}")
    return Picture(WIDTH, 30 + len(panels) * (_PANEL + 14), title, "; ".join(descriptions), tuple(shapes))


def _is_clock(shape: Shape, picture: Picture) -> bool:
    """Return whether a shape is a label of the time axis."""
    return isinstance(shape, TextLabel) and shape.y > picture.height - _BOTTOM + 10


def _moved(shape: Shape, down: float) -> Shape:
    if isinstance(shape, Polyline | Area):
        return replace(shape, points=tuple((x, y + down) for x, y in shape.points))
    return replace(shape, y=shape.y + down)
