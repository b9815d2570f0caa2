"""The input of a drawing: the Snapshot and its moment, and the person's choices."""

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

    `trail` are the screens that lead back. `sort` is the key of a sort order (order.py), `reverse` reverses it.
    `container` is the selected container's full name (a replaced container keeps its name), `incident` an id.
    `scroll` is the number of scrolled lines: from the top, or for a log from the end. `page` and `reach` are from the
    last drawing: the lines of a page, and the largest useful `scroll`.
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
    """One container's last log lines, oldest first. `problem` is the reason why newer ones are missing."""

    container: str
    lines: tuple[LogLine, ...] = ()
    read_at: datetime | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A Snapshot and the moment it is drawn at.

    `now` is the moment of drawing, `zone` the zone for times (None: the machine's own). `problem` says why the view
    could not get a newer Snapshot. `paused`: the user paused the view; `missed` is the number of incidents since then.
    `log` and `incident` are the content of the screens of these names.
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
        """The moment that the Snapshot covers: now, unless it is old or paused."""
        return self.snapshot.at if self.paused or self.snapshot.stale else self.now

    @property
    def read_at(self) -> datetime:
        """The moment of the containers' figures."""
        return self.snapshot.engine_read_at or self.as_of if self.snapshot.stale else self.as_of


@dataclass(frozen=True, slots=True)
class Drawing:
    """A screen's lines, and what the keys need: the lines of a page, and the largest useful scroll."""

    lines: Sequence[Line]
    page: int = 1
    reach: int = 0
