"""What a drawing is made of: the Snapshot and its moment, and what the person has chosen to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum

from sidecar.model.incident import Incident
from sidecar.model.snapshot import LogLine, Snapshot
from sidecar.views.lines import Line


class ScreenName(StrEnum):
    """The screens of the live view."""

    MAIN = "main"
    INCIDENTS = "incidents"
    INCIDENT = "incident"
    LOG = "log"
    LOCUST = "locust"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class ViewState:
    """Screen, order, selection and scrolling.

    `trail` are the screens that lead back. `sort` is the key of a way to order (order.py), `reverse` turns it round.
    `container` is the selected container's full name (a name outlives a replaced container), `incident` an id.
    `scroll` is how many lines the screen's text is moved: down from its top, or for a log back from its end.
    `page` and `reach` are what the last drawing found: how many lines a page has, and the largest `scroll` of use.
    """

    where: ScreenName = ScreenName.MAIN
    trail: tuple[ScreenName, ...] = ()
    sort: str = "worst"
    reverse: bool = False
    paused: bool = False
    leaving: bool = False
    container: str | None = None
    incident: str | None = None
    scroll: int = 0
    page: int = 10
    reach: int = 0


@dataclass(frozen=True, slots=True)
class ContainerLog:
    """One container's last log lines, oldest first; `problem` is the reason why there are no newer ones."""

    container: str
    lines: tuple[LogLine, ...] = ()
    read_at: datetime | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A Snapshot and the moment it is drawn at.

    `now` is the moment of drawing and `zone` the zone for times (None: the machine's own). `problem` says why there is
    no newer Snapshot, when the view could not get one. `paused` says that the Snapshot is held on purpose; `missed` is
    how many incidents came since. `log` and `incident` are what the screens of the same names show in full.
    """

    snapshot: Snapshot
    now: datetime
    zone: tzinfo | None
    problem: str = ""
    paused: bool = False
    missed: int = 0
    log: ContainerLog | None = None
    incident: Incident | None = None

    @property
    def as_of(self) -> datetime:
        """The moment up to which the Snapshot can speak: now, unless it is old or held."""
        return self.snapshot.at if self.paused or self.snapshot.stale else self.now

    @property
    def read_at(self) -> datetime:
        """The moment that the containers' figures are of."""
        return self.snapshot.engine_read_at or self.as_of if self.snapshot.stale else self.as_of


@dataclass(frozen=True, slots=True)
class Drawing:
    """A screen's lines, and what the keys need to know of it: lines of a page, the largest scroll of use."""

    lines: Sequence[Line]
    page: int = 1
    reach: int = 0
