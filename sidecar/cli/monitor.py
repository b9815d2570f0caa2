"""`monitor` and `swarm-monitor`: the live view of a running stack, or plain frames where there is no terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from sidecar.client.reader import MonitorError, SidecarReader, first_snapshot
from sidecar.common.console import silence
from sidecar.common.errors import StackError
from sidecar.incidents.warnings import judged
from sidecar.model.incident import Incident
from sidecar.model.snapshot import Snapshot, Warn
from sidecar.stack import as_decided, deployment
from sidecar.views.frame import frame
from sidecar.views.keys import pressed
from sidecar.views.lines import ascii_only, plain
from sidecar.views.scene import ContainerLog, Scene, ScreenName, ViewState
from sidecar.views.screens import draw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sidecar.common.console import Console
    from sidecar.settings import Settings
    from sidecar.views.lines import Line


LOG_LINES = 200


@dataclass(slots=True)
class SnapshotFeed:
    """The newest Snapshot, why there is no newer one, and what else the open screen shows.

    `beside` returns what the monitor cannot know; `warnings` is its last result.
    """

    reader: SidecarReader
    snapshot: Snapshot
    tail: int
    problem: str = ""
    beside: Callable[[], tuple[Warn, ...]] = tuple
    warnings: tuple[Warn, ...] = ()
    held: Snapshot | None = None
    log: ContainerLog | None = None
    incident: Incident | None = None

    def refresh(self) -> None:
        """Read a newer Snapshot. After a failure the old one stays, with the failure as text."""
        self.warnings = self.beside()
        try:
            self.snapshot, self.problem = self.reader.snapshot(), ""
        except MonitorError as error:
            self.problem = f"the monitor does not answer ({error}); the figures below are old; trying again"

    def follow(self, state: ViewState, now: datetime, *, again: bool) -> None:
        """Pause or continue, and read what the open screen needs; `again` also reads what it has."""
        self.held = (self.held or self._present(now)) if state.paused else None
        anew = again and not state.paused
        # A log that was scrolled back is not read again: its lines would move while a person reads them.
        at_its_end = anew and not state.scroll
        if state.where is ScreenName.LOG and state.container and (at_its_end or not self._has_log_of(state.container)):
            self.log = self._read_log(state.container, now)
        if state.where is ScreenName.INCIDENT and state.incident and (anew or not self._has_incident(state.incident)):
            self._read_incident(state.incident)

    def scene(self, now: datetime) -> Scene:
        """Return what is to be drawn at this moment."""
        shown = self.held or self._present(now)
        known = {incident.id for incident in shown.incidents}
        return Scene(
            snapshot=replace(
                shown,
                logs=shown.logs[-self.tail :] if self.tail else (),
                warnings=(*self.warnings, *shown.warnings),
            ),
            now=now,
            zone=None,
            problem=self.problem,
            paused=self.held is not None,
            missed=sum(incident.id not in known and not incident.helper for incident in self.snapshot.incidents)
            if self.held
            else 0,
            log=self.log,
            incident=self.incident,
        )

    def _present(self, now: datetime) -> Snapshot:
        return replace(self.snapshot, stale=True) if self.problem else judged(self.snapshot, now)

    def _has_log_of(self, container: str) -> bool:
        return self.log is not None and self.log.container == container

    def _read_log(self, container: str, now: datetime) -> ContainerLog:
        try:
            return ContainerLog(container, self.reader.logs(container, LOG_LINES), now)
        except MonitorError as error:
            before = self.log if self.log is not None and self.log.container == container else ContainerLog(container)
            return replace(before, problem=f"the monitor returned no newer lines of this log: {error}")

    def _has_incident(self, incident_id: str) -> bool:
        return self.incident is not None and self.incident.id == incident_id

    def _read_incident(self, incident_id: str) -> None:
        """Read an incident with all its evidence; without an answer, what the Snapshot holds of it is shown."""
        newest = next((incident for incident in self.snapshot.incidents if incident.id == incident_id), None)
        kept = self.incident if self._has_incident(incident_id) else None
        if kept is not None and newest is not None and newest.revision <= kept.revision:
            return
        try:
            self.incident = self.reader.incident(incident_id)
        except MonitorError:
            self.incident = newest


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


_PIPE_COLUMNS = 120


class Terminal(Protocol):
    """What the loop needs of a screen."""

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""

    def draw(self, lines: Sequence[Line]) -> None:
        """Replace what is shown."""

    def wait(self, seconds: float) -> Sequence[str]:
        """Wait until the time is over, the size changes or keys are pressed, and return those keys."""


def monitor(settings: Settings, environ: Mapping[str, str], _console: Console) -> None:
    """Show the stack until a person leaves the view.

    Raises:
        StackError: the stack is down at the start. When it is lost later, the view shows that and tries again.

    """
    reader = deployment.reader(settings)

    def beside() -> tuple[Warn, ...]:
        found = as_decided.seen(settings, environ)
        return tuple(Warn("error", f"made by another command than `up`: {difference.text}") for difference in found)

    first = first_snapshot(reader, settings.project)
    feed = SnapshotFeed(reader, first, settings.tail, beside=beside, warnings=beside())
    if settings.once:
        _print_frame(feed)
    elif sys.stdout.isatty() and environ.get("TERM", "dumb") != "dumb":
        _live_on_terminal(feed, settings.interval)
    else:
        _print_frames(feed, settings.interval)


def swarm_monitor(settings: Settings, environ: Mapping[str, str], console: Console) -> None:
    """Show the stack on a Swarm, all nodes together, from the monitor beside the master.

    Raises:
        StackError: the project was not started by swarm-up from this checkout.

    """
    if not deployment.is_swarm(settings):
        raise StackError(
            f"the stack {settings.project!r} was not started on a Swarm from this checkout",
            fix=f"make swarm-up WORKERS=12{settings.project_word}, or for the stack on this machine make monitor",
        )
    monitor(settings, environ, console)


def live(
    feed: SnapshotFeed,
    screen: Terminal,
    *,
    interval_seconds: float,
    aside: str,
    now: Callable[[], datetime],
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Show the feed until a key leaves the view. A paused view still reads, to count the missed incidents."""
    state, again = ViewState(), False
    next_refresh = monotonic() + interval_seconds
    while not state.leaving:
        feed.follow(state, now(), again=again)
        scene = feed.scene(now())
        width, height = screen.size
        drawing = draw(scene, state, width=width, height=height, aside=aside)
        screen.draw(drawing.lines)
        state = replace(state, page=drawing.page, reach=drawing.reach, scroll=min(state.scroll, drawing.reach))
        for key in screen.wait(next_refresh - monotonic()):
            state = pressed(key, state, scene.snapshot)
        again = monotonic() >= next_refresh
        if again and not state.leaving:
            feed.refresh()
            next_refresh = monotonic() + interval_seconds


def _live_on_terminal(feed: SnapshotFeed, interval_seconds: float) -> None:
    # Piped and single frames do not need rich's console, which is slow to load.
    from rich.console import Console as RichConsole  # noqa: PLC0415  see above

    from sidecar.cli.screen import Screen  # noqa: PLC0415  loads rich, see above

    aside = f"every {interval_seconds:g} s · page: http://{feed.reader.host}:{feed.reader.port}"
    with Screen(RichConsole(highlight=False)) as screen:
        live(feed, screen, interval_seconds=interval_seconds, aside=aside, now=utc_now)


def _print_frames(feed: SnapshotFeed, interval_seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
    try:
        while True:
            _print_frame(feed)
            print()
            sleep(interval_seconds)
            feed.refresh()
    except KeyboardInterrupt:
        return
    except BrokenPipeError:  # `| head` has seen enough
        silence(sys.stdout)


def _print_frame(feed: SnapshotFeed) -> None:
    columns = shutil.get_terminal_size((_PIPE_COLUMNS, 0)).columns
    text = plain(frame(feed.scene(utc_now()), width=columns, height=None).lines)
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print(text if unicode else ascii_only(text), end="", flush=True)
