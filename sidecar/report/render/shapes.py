"""The parts of a picture: shapes with a role instead of a colour, so each writer picks its own colours. Pure.

Lengths are in px of the whole picture, from its upper left corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Point = tuple[float, float]


class Role(StrEnum):
    """The role of a shape. Each series has a role, so a class or figure looks the same in every picture."""

    INK = "ink"
    FAINT = "faint"
    ON = "on"
    GRID = "grid"
    GOOD = "good"
    BAD = "bad"
    WARN = "warn"
    FIRST = "s1"
    SECOND = "s2"
    THIRD = "s3"
    FOURTH = "s4"
    FIFTH = "s5"
    SIXTH = "s6"


SERIES = (Role.FIRST, Role.SECOND, Role.THIRD, Role.FOURTH, Role.FIFTH, Role.SIXTH)


@dataclass(frozen=True, slots=True)
class Polyline:
    """A line through points."""

    points: tuple[Point, ...]
    role: Role
    width: float = 1.8
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Area:
    """A filled, half transparent shape."""

    points: tuple[Point, ...]
    role: Role
    opacity: float = 0.85


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle; `title` says what it is."""

    x: float
    y: float
    width: float
    height: float
    role: Role
    title: str = ""
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class TextLabel:
    """A text. `anchor` is start, middle or end; `y` is its base line."""

    x: float
    y: float
    text: str
    role: Role = Role.FAINT
    anchor: str = "start"
    size: float = 12.0
    is_bold: bool = False


Shape = Polyline | Area | Box | TextLabel


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, with a description for people who cannot see it."""

    width: float
    height: float
    title: str
    description: str
    shapes: tuple[Shape, ...]
