"""What a person has chosen to look at: the state of the live view. Pure data; keys.py says how it changes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
