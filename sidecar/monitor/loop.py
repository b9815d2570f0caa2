"""The loop: one round each interval, for as long as the sidecar lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sidecar.common.backoff import Backoff
from sidecar.monitor.board import Board
from sidecar.monitor.sampler import Round

_log = logging.getLogger(__name__)


async def watch(
    make_round: Callable[[], Round],
    board: Board,
    interval_seconds: float,
    *,
    monotonic: Callable[[], float],
    beat: Callable[[], None] = lambda: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Make rounds and publish until cancelled, with a `beat` after each round that came to its end.

    Rounds start an interval apart; one that takes longer delays the next.
    """
    backoff = Backoff()
    while True:
        started = monotonic()
        try:
            board.publish((await asyncio.to_thread(make_round)).snapshot)
            beat()
            backoff = backoff.succeeded()
            pause = interval_seconds - (monotonic() - started)
        except Exception:  # noqa: BLE001  # top of the loop: one bad round must not blind the sidecar
            _log.exception("a round of readings failed")
            backoff = backoff.failed(monotonic())
            pause = backoff.next_try_seconds - monotonic()
        await sleep(max(0.0, pause))
