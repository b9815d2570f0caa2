"""`monitor`: the live view of a running stack, or plain frames where there is no terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping

from sidecar.cli.feed import SnapshotFeed, utc_now
from sidecar.client.reader import first_snapshot
from sidecar.common.say import silence
from sidecar.stack import deployment, workspace
from sidecar.views.frame import frame
from sidecar.views.plain import ascii_only, plain

NAME = "monitor"
HELP = "the live view: run, incidents, containers, logs (INTERVAL=2 TAIL=5 ONCE=1); ? lists its keys"

_PIPE_COLUMNS = 120


def run(args: list[str], environ: Mapping[str, str]) -> int:
    """Show the stack until told to leave.

    Raises:
        SettingError: a setting with a value that cannot be.
        StackError: the stack is down at the start. (Lost later, the view says so and goes on trying.)
    """
    workspace.refuse_arguments(args, NAME)
    settings = workspace.settings_after_up(args, environ)
    reader = deployment.reader(settings)
    feed = SnapshotFeed(reader, first_snapshot(reader, settings.project), settings.tail)
    if settings.once:
        _print_frame(feed)
        return 0
    if sys.stdout.isatty() and environ.get("TERM", "dumb") != "dumb":
        return _live(feed, settings.interval)
    return _piped(feed, settings.interval)


def _live(feed: SnapshotFeed, interval_seconds: float) -> int:
    # Loaded here: a piped or single frame does without rich's console, which takes longest to load.
    from rich.console import Console  # noqa: PLC0415

    from sidecar.cli.live import live  # noqa: PLC0415
    from sidecar.cli.screen import Screen  # noqa: PLC0415

    aside = f"every {interval_seconds:g} s · page: http://{feed.reader.host}:{feed.reader.port}"
    with Screen(Console(highlight=False)) as screen:
        live(feed, screen, interval_seconds=interval_seconds, aside=aside, now=utc_now)
    return 0


def _piped(feed: SnapshotFeed, interval_seconds: float, sleep: Callable[[float], None] = time.sleep) -> int:
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


def _print_frame(feed: SnapshotFeed) -> None:
    columns = shutil.get_terminal_size((_PIPE_COLUMNS, 0)).columns
    text = plain(frame(feed.scene(utc_now()), width=columns, height=None).lines)
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print(text if unicode else ascii_only(text), end="", flush=True)
