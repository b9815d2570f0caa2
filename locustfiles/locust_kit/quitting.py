"""The end of a run by the user's own code, and the end of a master after `runner.quit()`.

After `runner.quit()` the web page still works, but no worker can register. So the plugin ends such a master a moment
later, and Docker's restart policy starts it again.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import gevent
import locust
from gevent.hub import get_hub
from locust import runners
from locust.env import Environment
from locust.runners import STATE_STOPPED, MasterRunner

from locust_kit import places
from locust_kit.guard import guarded, keep_doing

logger = logging.getLogger("locust_kit")

SERVED_SECONDS = 8.0
"""How long the web page still serves the figures of the last run before the process ends."""
_LOCUST, _OWN = Path(locust.__file__).parent, Path(__file__).parent
_ENDINGS = ("stop", "quit")


@dataclass(frozen=True, slots=True)
class EndedBy:
    """The user's code that ended a run: the call and its place; "" if the greenlet is the call itself."""

    call: str
    where: str = ""

    def document(self) -> dict[str, str]:
        """Return the document for `end.json`."""
        return asdict(self)


def stopping_call() -> EndedBy | None:
    """Return the call of the user's code that stops the runner in this greenlet; None if Locust itself stops it."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  the documented way to the callers
    while frame is not None and not _is_ending(frame):
        frame = frame.f_back
    call = ""
    while frame is not None and _is_ending(frame):
        call, frame = frame.f_code.co_name, frame.f_back
    if not call or (frame is not None and _is_within(frame.f_code.co_filename, _LOCUST, _OWN)):
        return None
    return EndedBy(f"runner.{call}()", _place(frame) if frame else "")


def _is_ending(frame: FrameType) -> bool:
    return frame.f_code.co_name in _ENDINGS and frame.f_code.co_filename == runners.__file__


def _is_within(file: str, *folders: Path) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders)


def _place(frame: FrameType) -> str:
    """Return file and line of the user's code that called, even through a library; otherwise of the library."""
    file, line = Path(frame.f_code.co_filename), frame.f_lineno
    return places.of_caller(frame).line or f"{'/'.join(file.parts[-2:])}:{line}"


class MasterEnd:
    """Ends the process of a master that cannot work any more.

    Args:
        environment: Locust's.
        note: gets the cause of the end of the current run, if there is one; only the first call counts.
        close_run: writes down the end of the run, and waits for it.
    """

    def __init__(
        self, environment: Environment, note: Callable[[EndedBy], None], close_run: Callable[[], None]
    ) -> None:
        self._environment = environment
        self._note, self._close_run = note, close_run
        self._is_ending = False

    @property
    def is_ending(self) -> bool:
        """Return whether this process ends soon, and no run can begin."""
        return self._is_ending

    def listen(self) -> None:
        """Check once a second; treat `sys.exit` in a greenlet as the end of the run."""
        if isinstance(self._environment.runner, MasterRunner) and self._environment.web_ui:
            self._environment.events.quitting.add_listener(self._quitting)
            keep_doing(self._look, 1)
            self._watch_exits()

    def _quitting(self, **_: Any) -> None:
        self._is_ending = True  # Locust itself ends

    def _look(self) -> None:
        runner = self._environment.runner
        if isinstance(runner, MasterRunner) and not self._is_ending and not len(runner.greenlet):
            self._is_ending = True
            self._note(EndedBy("runner.quit()"))
            self._end()

    def _end(self) -> None:
        """Close the run, serve its figures for some seconds, and exit as Locust does when its page is closed."""
        runner, web_ui = self._environment.runner, self._environment.web_ui
        logger.warning(
            "locust-kit: the locustfile quit this master, so no worker can register. Its process ends in %.0f s, and "
            "Docker starts it again",
            SERVED_SECONDS,
        )
        guarded(self._close_run)()
        if isinstance(runner, MasterRunner):
            runner.clients.clear()
            runner.update_state(STATE_STOPPED)
        gevent.sleep(SERVED_SECONDS)
        self._environment.process_exit_code = 0  # not a crash: nobody but Docker reads this code
        if web_ui:
            web_ui.stop()

    def _watch_exits(self) -> None:
        """Let SystemExit of a greenlet end the run first: gevent would end the process immediately."""
        hub = get_hub()
        usual = hub.handle_system_error

        def handle(kind: type[BaseException], value: BaseException, traceback: TracebackType | None = None) -> None:
            if isinstance(value, SystemExit) and not self._is_ending:
                self._is_ending = True
                gevent.spawn(self._exit, _exit_of(value, traceback))
            else:
                usual(kind, value, traceback)

        hub.handle_system_error = handle

    def _exit(self, ended_by: EndedBy) -> None:
        self._note(ended_by)
        if self._environment.runner:
            guarded(self._environment.runner.quit)()  # whatever it raises, this master must end
        self._end()


def _exit_of(value: SystemExit, traceback: TracebackType | None) -> EndedBy:
    code = "" if value.code is None else repr(value.code)
    return EndedBy(f"sys.exit({code})", places.of_traceback(traceback).line)
