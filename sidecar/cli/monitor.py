"""`monitor`: the live view of a running stack, or plain frames where there is no terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sidecar.drive import workspace
from sidecar.drive.say import silence
from sidecar.model.snapshot import Snapshot
from sidecar.rules.freshness import judged
from sidecar.serve.reader import HOST, SidecarError, SidecarReader, first_snapshot
from sidecar.views.frame import frame, with_footer
from sidecar.views.lines import DIM, Line, Span, line
from sidecar.views.plain import ascii_only, plain

NAME = "monitor"
HELP = "the live view: services, resources, logs (INTERVAL=2 TAIL=5 ONCE=1); q leaves"

_PIPE_COLUMNS = 120


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Show the stack until told to leave.

    Raises:
        SettingError: a knob with a value that cannot be.
        StackError: the stack is down at the start. (Lost later, the view says so and goes on trying.)
    """
    workspace.refuse_arguments(args, NAME)
    settings = workspace.settings_after_up(args, environ)
    reader = SidecarReader(settings.monitor_port)
    feed = Feed(reader, first_snapshot(reader, settings.project), settings.tail)
    if settings.once:
        _print_frame(feed)
        return 0
    if sys.stdout.isatty() and environ.get("TERM", "dumb") != "dumb":
        return _live(feed, settings.interval)
    return _piped(feed, settings.interval)


@dataclass(slots=True)
class Feed:
    """The newest Snapshot that could be had, and what hinders a newer one."""

    reader: SidecarReader
    snapshot: Snapshot
    tail: int
    trouble: str = ""

    def refresh(self) -> None:
        """Try to get a newer one; a failure is kept as text beside the old one."""
        try:
            self.snapshot, self.trouble = self.reader.snapshot(), ""
        except SidecarError as error:
            self.trouble = f"the sidecar does not answer ({error}); what stands below is old; trying again"

    def lines(self, width: int, height: int | None) -> list[Line]:
        """Draw the frame of this moment."""
        now = datetime.now(UTC)
        snapshot = replace(self.snapshot, stale=True) if self.trouble else judged(self.snapshot, now)
        shown = replace(snapshot, logs=snapshot.logs[-self.tail :] if self.tail else ())
        return frame(shown, now=now, width=width, height=height, zone=None, trouble=self.trouble)


def _live(feed: Feed, interval_seconds: float) -> int:
    # Loaded here: a piped or single frame does without rich's console, which takes longest to load.
    from rich.console import Console  # noqa: PLC0415

    from sidecar.cli.screen import Screen  # noqa: PLC0415

    foot = line(Span(f"q leaves · every {interval_seconds:g} s · page: http://{HOST}:{feed.reader.port}", DIM))
    with Screen(Console(highlight=False)) as screen:
        next_refresh = time.monotonic() + interval_seconds
        while True:
            width, height = screen.size
            screen.draw(with_footer(feed.lines(width, height - 1), foot, width, height))
            if screen.wait(next_refresh - time.monotonic()):
                return 0
            if time.monotonic() >= next_refresh:
                feed.refresh()
                next_refresh = time.monotonic() + interval_seconds


def _piped(feed: Feed, interval_seconds: float, sleep: Callable[[float], None] = time.sleep) -> int:
    try:
        while True:
            _print_frame(feed)
            print()
            sleep(interval_seconds)
            feed.refresh()
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # `| head` has seen enough
        silence(sys.stdout)
        return 0


def _print_frame(feed: Feed) -> None:
    text = plain(feed.lines(shutil.get_terminal_size((_PIPE_COLUMNS, 0)).columns, None))
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print(text if unicode else ascii_only(text), end="", flush=True)
