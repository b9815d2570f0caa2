from __future__ import annotations

import io

import pytest

from sidecar.commands import summary
from sidecar.commands.follow import RunObserved
from sidecar.commands.summary import Progress
from sidecar.common.console import Console
from tests.fakes.fake_master import figures

SEEN = RunObserved(started=True, figures=figures("running", 5, users=2))


@pytest.mark.parametrize(
    ("seconds", "run_time", "clock"), [(3, 4, "0:03 of 0:04"), (5.5, 4, "0:04 of 0:04"), (3700, 0, "1:01:40")]
)
def test_the_clock_never_goes_beyond_the_planned_time(seconds: float, run_time: int, clock: str) -> None:
    assert summary.progress(SEEN, seconds, run_time).startswith(f"{clock}  2 users")


def test_a_pipe_gets_a_line_every_five_seconds_and_no_control_codes(say: Console, out: io.StringIO) -> None:
    progress = Progress(say, 0)
    for second in range(11):
        progress.show(SEEN, second)
    progress.end()
    assert [line.split()[0] for line in out.getvalue().splitlines()] == ["0:00", "0:05", "0:10"]
    assert "\x1b" not in out.getvalue()
