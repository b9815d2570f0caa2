"""A timer in gevent's loop, and a thread that reads the loop's stack whenever the timer is late."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gevent
from gevent.monkey import get_original

from locust_kit.guard import WarnOnce
from locust_kit.meters.stack import StackSample, sample
from locust_kit.meters.stall import STALL_SECONDS, Stall

TICK_SECONDS = 0.05
_FIRST_LOOK_SECONDS = 0.05  # after the timer was due: two looks at a stall of a little over 100 ms
_LOOK_SHARE = 1 / 8  # of a long stall passes between two looks
_SCHEDSTAT = Path("/proc/self/schedstat")
_CLOCK_MONOTONIC = 1


class LoopWatch:
    """The timer in the loop of the calling thread, and the thread that watches it."""

    def __init__(self, on_stall: Callable[[Stall], None]) -> None:
        self._on_stall = on_stall
        self._thread = get_original("_thread", "get_ident")()
        self._warn = WarnOnce("measuring the loop")
        self._samples: list[tuple[float, float, StackSample]] = []
        self._is_over = False
        self._schedstat = -1
        with contextlib.suppress(OSError):
            self._schedstat = os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
        self._began = self._at = time.perf_counter()
        self._cpu, self._waited = time.thread_time(), self._scheduler()
        self._alarm = Alarm(TICK_SECONDS + _FIRST_LOOK_SECONDS)
        try:
            get_original("_thread", "start_new_thread")(self._look, ())
        except RuntimeError:  # a limit of processes: nothing of this watch stays
            self._alarm.close()
            self._close()
            raise
        self._timer = gevent.get_hub().loop.timer(TICK_SECONDS, TICK_SECONDS, ref=False)
        self._timer.start(self._tick)
        self._alarm.put_off()

    def end(self) -> None:
        """Stop both. A current stall does not count: a listener of the test may be handling the end of the run."""
        self._is_over = True
        self._timer.stop()
        self._timer.close()
        self._alarm.ring()
        self._close()

    def _close(self) -> None:
        if self._schedstat >= 0:
            os.close(self._schedstat)

    def seconds(self) -> float:
        """Return for how long the loop has been watched."""
        return (self._at if self._is_over else time.perf_counter()) - self._began

    def _tick(self) -> None:
        """Note a turn of the loop. The timer calls this twenty times per second, also in an idle loop."""
        now, cpu, waited = time.perf_counter(), time.thread_time(), self._scheduler()
        stalled = now - self._at - TICK_SECONDS / 2  # it began between the last tick and the one that is late
        if stalled >= STALL_SECONDS:
            looks = [(late, seen) for at, late, seen in self._samples if at == self._at]
            self._samples.clear()
            unseen = looks[0][0] - _FIRST_LOOK_SECONDS if looks else stalled
            delay = _run_delay(waited) - _run_delay(self._waited) if waited else None
            try:
                self._on_stall(Stall(stalled, cpu - self._cpu, delay, [seen for _, seen in looks], unseen))
            except Exception as error:  # noqa: BLE001  whatever it is, the run goes on
                self._warn(error)
        self._at, self._cpu, self._waited = now, cpu, waited
        self._alarm.put_off()

    def _scheduler(self) -> bytes:
        """Return the kernel's counts for the main thread: running, waiting for a CPU (ns), and turns."""
        return os.pread(self._schedstat, 100, 0) if self._schedstat >= 0 else b""

    def _look(self) -> None:
        """Read the watched thread's stack whenever its timer is late. Runs in a thread outside gevent: no logging."""
        sleep = get_original("time", "sleep")
        while self._alarm.wait() and not self._is_over:
            at = self._at
            late = time.perf_counter() - at - TICK_SECONDS
            while late >= _FIRST_LOOK_SECONDS and at == self._at and not self._is_over:
                with contextlib.suppress(Exception):  # a look that fails counts for nothing
                    seen = sample(sys._current_frames()[self._thread])  # noqa: SLF001  documented
                    self._samples.append((at, late, seen))
                sleep(max(_FIRST_LOOK_SECONDS, late * _LOOK_SHARE))
                late = time.perf_counter() - at - TICK_SECONDS
        self._alarm.close()


class Alarm:
    """A kernel timer that wakes a waiting thread, unless it is postponed in time. Its time is less than 1 s.

    A thread that reads a clock ten times per second would need the interpreter lock each time. A busy machine could
    take the CPU from that thread while it holds the lock.
    """

    def __init__(self, seconds: float) -> None:
        self._libc = ctypes.PyDLL(None)  # these calls do not wait: giving the interpreter lock away takes longer
        self._file = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_CLOEXEC)
        if self._file < 0:
            raise OSError("timerfd_create failed")
        self._later, self._at_once = ((ctypes.c_long * 4)(0, 0, 0, ns) for ns in (int(1e9 * seconds), 1))

    def put_off(self) -> None:
        """Set the timer to its full time from now."""
        self._libc.timerfd_settime(self._file, 0, self._later, None)

    def ring(self) -> None:
        """Let the timer expire now."""
        self._libc.timerfd_settime(self._file, 0, self._at_once, None)

    def wait(self) -> bool:
        """Wait in this thread until the timer expires."""
        return bool(os.read(self._file, 8))

    def close(self) -> None:
        """Close its file descriptor; it must not be set again."""
        os.close(self._file)


def _run_delay(schedstat: bytes) -> float:
    """Return the seconds in which a thread was ready but got no CPU time, from its `schedstat`."""
    return int(schedstat.split()[1]) / 1e9
