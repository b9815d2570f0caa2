"""`capacity`: a short run with more and more users against one endpoint, in a temporary stack of its own."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from sidecar.commands import reports, up
from sidecar.commands.run import run
from sidecar.common import atomic, strict_json
from sidecar.common.console import Console
from sidecar.common.errors import KitError, SettingError
from sidecar.common.text import aligned
from sidecar.common.units import plural, whole_milliseconds
from sidecar.report.render import png
from sidecar.report.render.plots import ChartSeries, by_step
from sidecar.report.render.shapes import Picture, Role
from sidecar.report.verdict.judge import EXIT_INVALID, INVALID
from sidecar.settings import Settings
from sidecar.stack import workspace

LEAST_GAIN = 1.1
_MUCH_CPU_PERCENT = 90.0
_LEAST_POINTS = 4  # of a step; anything shorter is a ramp


@dataclass(frozen=True, slots=True)
class LoadStep:
    """The figures of one number of users: requests and failures per second, times in ms, CPU of the busiest worker."""

    users: int
    rps: float
    fail_per_second: float
    p50_ms: float | None
    p95_ms: float | None
    cpu_percent: float


@dataclass(frozen=True, slots=True)
class Knee:
    """The knee: the load above which more users bring no more requests.

    Attributes:
        steps: the measured steps, in order of their users.
        at: the index of the last step that brought a tenth more than the one before; None if each step did.
        by_generator: whether a worker was at its limit, so that the knee is not the target's.
        text: the same in one line.

    """

    steps: tuple[LoadStep, ...]
    at: int | None
    by_generator: bool
    text: str


def steps_of(timeline: Mapping[str, Any]) -> tuple[LoadStep, ...]:
    """Return the steps in a report's timeline: spans with the same number of users, with the figures at their ends."""
    names = ("users", "rps", "fail_per_second", "p50_ms", "p95_ms", "cpu_percent")
    rows = list(zip(*(timeline[name] for name in names), strict=True))
    steps: dict[int, LoadStep] = {}
    for users, group in groupby(rows, itemgetter(0)):
        points = list(group)
        if not users or len(points) < _LEAST_POINTS:
            continue
        _, rps, failing, p50, p95, _ = points[-1]
        steps[int(users)] = LoadStep(
            int(users), rps or 0.0, failing or 0.0, p50, p95, max(point[5] or 0.0 for point in points)
        )
    return tuple(steps[users] for users in sorted(steps))


def find_knee(steps: Sequence[LoadStep]) -> Knee:
    """Return the knee: the last step before a step with less than a tenth more requests per second."""
    at = next((place for place in range(len(steps) - 1) if steps[place + 1].rps < LEAST_GAIN * steps[place].rps), None)
    if at is None:
        most = f" up to {steps[-1].users} users" if steps else ""
        return Knee(
            tuple(steps), None, by_generator=False, text=f"no knee{most}: each step brought more requests per second"
        )
    by_generator = max(step.cpu_percent for step in steps[: at + 2]) >= _MUCH_CPU_PERCENT
    knee, after = steps[at], steps[at + 1]
    text = f"knee at {_in_words(knee)}; the next step, {_in_words(after)}"
    if by_generator:
        text += (
            "; a worker was at its CPU limit, so the load machine is the bottleneck, not the target → use more WORKERS"
        )
    return Knee(tuple(steps), at, by_generator, text)


def _in_words(step: LoadStep) -> str:
    p95 = "" if step.p95_ms is None else f", p95 {step.p95_ms:.0f} ms"
    failing = f", {step.fail_per_second:.1f} failed per second" if step.fail_per_second else ""
    return f"{plural(step.users, 'user')}: {step.rps:.0f} requests per second{failing}{p95}"


_FILES = Path("locustfiles") / "capacity"
_HEADER = ("USERS", "REQ/S", "FAILED/S", "MEDIAN", "P95", "WORKER CPU")


def capacity(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Start a stack of its own, run, print the knee, and remove the stack; return 4 if the run was INVALID.

    Raises:
        KitError: there is no ENDPOINT or no target, or the stack did not start.

    """
    if not settings.endpoint:
        raise SettingError("ENDPOINT is empty", wanted="a path on the target", fix="make capacity ENDPOINT=/api/cart")
    reports.probe(settings.reports_dir)
    own = _own(settings)
    _write_files(settings, own)
    try:
        up.up(own, environ, console, quiet_end=True)
        run(own, environ, console)
    finally:
        with suppress(KitError):
            compose = workspace.compose_for(own, workspace.decided(own), environ)
            compose.run("--profile", "*", "down", "--volumes", "--remove-orphans", timeout=120)
    return _tell(settings, own, environ, console)


def _own(settings: Settings) -> Settings:
    """Return the settings of the temporary stack: the same target, workers and limits; other ports, names and files."""
    known = workspace.decided(settings)
    mock = settings.mock or (not settings.host and known.mock)
    folder = settings.state_dir / "capacity" / settings.project
    return replace(
        settings,
        project=f"{settings.project}-capacity",
        web_port=_free_port(),
        monitor_port=_free_port(),
        remote_workers="",  # the port is the stack's own
        host="" if mock else settings.host or known.host,
        mock=mock,
        locustfiles_dir=folder / "files",
        locustfile="locustfile.py",
        reports_dir=folder / "reports",
        classes=(),
        tags=(),
        exclude_tags=(),
        shape="",
        thresholds=(),
        thresholds_file="",
        fail_ratio=1.0,
        args=(),  # of the user's own locustfile
        words={},
        given={
            name: setting for name, setting in settings.given.items() if name not in {"USERS", "SPAWN_RATE", "RUN_TIME"}
        },
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _write_files(settings: Settings, own: Settings) -> None:
    shutil.rmtree(own.locustfiles_dir.parent, ignore_errors=True)
    shutil.copytree(settings.root / _FILES, own.locustfiles_dir, ignore=shutil.ignore_patterns("__pycache__"))
    parameters = {
        "method": settings.method,
        "endpoint": settings.endpoint,
        "most_users": settings.most_users,
        "step_seconds": settings.step_seconds,
    }
    path = own.locustfiles_dir / "parameters.json"
    atomic.write_text(path, strict_json.dumps(parameters), atomic.READ_BY_CONTAINERS)


def _tell(settings: Settings, own: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Print the knee, and save it among the reports."""
    runs = reports.all_runs(own.reports_dir)
    if not runs or not (runs[-1][1].get("timeline") or {}).get("at"):
        raise KitError("the run has no timeline, so there are no steps to compare", fix="make diagnose")
    document = runs[-1][1]
    bend = find_knee(steps_of(document["timeline"]))
    folder = reports.new_folder(settings.reports_dir, f"capacity-{document['run_id']}")
    files = [
        ("capacity.png", png.render(picture(settings.endpoint, bend))),
        ("capacity.json", _document(settings, bend)),
    ]
    reports.write(folder, settings, document, files, environ)
    console.line()
    for line in _table(bend):
        console.line(line)
    console.line(bend.text)
    console.line(f"report: {folder}")
    return EXIT_INVALID if document["verdict"] == INVALID else 0


def _document(settings: Settings, bend: Knee) -> bytes:
    content: dict[str, Any] = {
        "schema_version": 1,
        "endpoint": settings.endpoint,
        "method": settings.method,
        **asdict(bend),
    }
    return (strict_json.dumps(content, indent=1) + "\n").encode()


def _table(bend: Knee) -> list[str]:
    rows = [
        _HEADER,
        *(
            (
                f"{step.users}{' ←' if place == bend.at else ''}",
                f"{step.rps:.1f}",
                f"{step.fail_per_second:.1f}",
                whole_milliseconds(step.p50_ms),
                whole_milliseconds(step.p95_ms),
                f"{step.cpu_percent:.0f} %",
            )
            for place, step in enumerate(bend.steps)
        ),
    ]
    return aligned(rows, right=True)


def picture(endpoint: str, bend: Knee) -> Picture:
    """Draw requests per second and response times against users, and mark the knee."""
    steps = bend.steps
    panels = (
        ("Requests per second", [ChartSeries("requests per second", [step.rps for step in steps], Role.THIRD)]),
        (
            "Response times in ms",
            [
                ChartSeries("median", [step.p50_ms for step in steps], Role.FIRST),
                ChartSeries("p95", [step.p95_ms for step in steps], Role.SECOND),
            ],
        ),
    )
    return by_step(f"{endpoint} with more and more users", [f"{step.users}" for step in steps], panels, marked=bend.at)
