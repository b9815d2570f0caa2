"""The picture of `make monitor` in the README."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, timedelta

from rich.console import Console
from rich.text import Text

from sidecar.cli.screen import STYLES
from sidecar.model.incident import IncidentKind
from sidecar.model.snapshot import LogLine, Snapshot, VerdictSoFar
from sidecar.views.scene import Scene, ViewState
from sidecar.views.screens import draw
from tests.fakes import sidecar_samples
from tests.shown.samples import oom_story

_COLUMNS, _LINES = 130, 28
_LOG = (
    (120, "Sending spawn jobs of 200 users at 20.00 spawn rate to 4 ready workers"),
    (4, "Worker 000000000564_3f2a failed to send heartbeat, setting state to missing."),
    (1, "000000000564_91cc (index 2) reported as ready. 4 workers connected."),
)


def terminal() -> str:
    """Return the live view as an SVG: a worker was OOM-killed a few seconds ago."""
    before = _one_kill()
    logs = tuple(
        LogLine(
            before.at - timedelta(seconds=seconds),
            "locust-master",
            "locust-locust-master-1",
            f"[2026-11-22 15:04:05,000] f26e19abb9b8/INFO/locust.runners: {text}",
        )
        for seconds, text in _LOG
    )
    story = oom_story()
    snapshot = replace(
        before,
        logs=logs,
        incidents=(*story, *(one for one in before.incidents if one.kind is IncidentKind.FORECAST)),
        verdict=VerdictSoFar("INVALID", (story[-1].text,)),
    )
    drawing = draw(
        Scene(snapshot, sidecar_samples.NOW, UTC),
        ViewState(),
        width=_COLUMNS,
        height=_LINES,
        aside="every 2 s · page: http://127.0.0.1:8090",
    )
    console = Console(width=_COLUMNS, record=True, file=io.StringIO(), force_terminal=True)
    for one in drawing.lines:
        console.print(Text.assemble(*((span.text, STYLES[span.style]) for span in one)), crop=False, no_wrap=True)
    return console.export_svg(title="make monitor")


def _one_kill() -> Snapshot:
    """Return the stack a few seconds after a worker was killed, with nothing else wrong but a second worker's leak."""
    before = sidecar_samples.oom()
    workers = sidecar_samples.locust(4).workers
    figures = sidecar_samples.locust(
        4,
        workers_connected=3,
        users=150,
        workers=tuple(one for one in workers if not str(one.container).endswith("-3")),
    )
    containers = tuple(replace(one, throttled_percent=0.0) for one in before.containers)
    return sidecar_samples.snapshot(containers, figures, incidents=before.incidents)
