"""Each example of Locust's repository runs beside the plugin as it runs without: requests, failures, users over time.

Two runs of plain Locust and one with the plugin, at the same time, so that the machine is the same to all. What the
plain ones differ by, and the chance in counts of this size, is what the one with the plugin may differ by.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sidecar.report.runs import record
from sidecar.report.verdict.judge import Verdict, judge
from tests.ports import free_port
from tests.process.locust_examples.conftest import World
from tests.process.locust_examples.driving import FILES, HERE, Curve, Figures, Stack
from tests.process.locust_examples.table import EXAMPLES, NOT_RUN, PARTS, Example
from tests.process.locust_examples.target import Target, serving

PLAIN = 2
MISSED = "failed to send heartbeat"
MOST_ATTEMPTS = 2


@dataclass(frozen=True)
class Ran:
    """One run: what Locust counted, what the target was asked for, and where its files are."""

    figures: Figures
    asked: Counter[str]
    folder: Path


@contextmanager
def server_of(example: Example, folder: Path, port: int, world: World) -> Iterator[None]:
    """The server that an example needs, if any, at this port."""
    if not example.server:
        yield
        return
    name, *words = example.server.split()
    path = folder / Path(name).name if name.startswith("files/") else HERE / name
    process = subprocess.Popen(
        [sys.executable, path, *words, *([str(port)] if words else [])],
        env={"PYTHONPATH": str(world.packages)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def run(example: Example, target: Target, world: World, folder: Path, *, plugin: bool) -> Ran:
    """Run an example in a folder of its own."""
    source, port = FILES / example.path, free_port()
    shutil.copytree(source.parent, folder, dirs_exist_ok=True)
    for name, text in example.files.items():
        (folder / name).write_text(text)
    for path in folder.glob("*.py") if example.port else ():
        path.write_text(path.read_text().replace(example.port, str(port)))
    http, https = target.ports
    environ = {
        "PYTHONPATH": f"{HERE / 'stand_ins'}:{world.packages}",
        "STAND_IN_PORTS": f"80:{http},443:{https}",
        "STAND_IN_CA": world.ca,
        **{name: value.replace("TARGET", f"http://127.0.0.1:{http}") for name, value in example.environ.items()},
    }
    if "locust_plugins" in source.read_text():
        environ["PYTHONPATH"] += f":{world.locust_plugins}"
    if example.host:
        environ["LOCUST_HOST"] = example.host.replace("TARGET", f"http://127.0.0.1:{http}")
    with server_of(example, folder, port, world), Stack(folder, source.name, environ, plugin=plugin) as stack:
        stack.wait_for_workers(login=example.login)
        figures = stack.run(example.users, example.seconds)
    return Ran(figures, target.asked, folder)


def differing(plain: list[Counter[str]], kit: Counter[str], *, busy: bool) -> list[str]:
    """The counts that differ from those of plain runs by more than these differ."""
    found = []
    for name in sorted(set(kit).union(*plain)):
        counts = [run[name] for run in plain]
        apart = max(counts) - min(counts) + 3 * math.sqrt(max(counts)) + 2 + (max(counts) if busy else 0)
        if not min(counts) - apart <= kit[name] <= max(counts) + apart:
            found.append(f"{name}: {kit[name]}, plain {counts}")
    return found


def curve_differs(plain: list[Curve], kit: Curve, seconds_apart: float) -> list[str]:
    """The points of the curve of users that no plain run had at about that time, where they last."""
    found = []
    for at, users in kit:
        near = [n for curve in plain for when, n in curve if abs(when - at) <= seconds_apart]
        if near and not min(near) <= users <= max(near):
            found.append(f"{users} users at {at:.1f} s, plain {min(near)} to {max(near)}")
    share = len(found) / max(len(kit), 1)
    return found if kit and share * kit[-1][0] > seconds_apart else []


def verdict_of(runs: Path) -> Verdict:
    """The kit's verdict by what the plugin wrote, as of a run whose containers somebody watched to its end."""
    (run_id,) = record.ids(runs)
    found = record.read(runs, run_id, datetime.now(UTC))
    return judge(replace(found, watched_until=found.until))


def run_all(example: Example, world: World, folder: Path) -> tuple[list[Ran], Ran]:
    """The runs of plain Locust and the one with the plugin, again when the machine was too busy for a heartbeat."""
    for attempt in range(MOST_ATTEMPTS):
        with serving(world.context, PLAIN + 1) as targets, ThreadPoolExecutor(PLAIN + 1) as pool:
            pending = [
                pool.submit(run, example, target, world, folder / f"{attempt}{number}", plugin=number == PLAIN)
                for number, target in enumerate(targets)
            ]
            *plain, kit = [one.result() for one in pending]
        if not any(MISSED in ran.figures.log for ran in (*plain, kit)):
            return plain, kit
    if not any(MISSED in ran.figures.log for ran in plain):
        pytest.fail("only the workers with the plugin missed their heartbeats")
    pytest.skip("the machine is too busy: workers of plain Locust missed their heartbeats")


def kept(example: Example, plain: list[Figures], kit: Ran, verdict: Verdict, file: Path) -> None:
    """Append all figures to a file, of which the table in docs/examples.md is made."""
    runs = (*plain, kit.figures)
    row: dict[str, Any] = {
        "path": example.path,
        "verdict": verdict.word,
        "reasons": verdict.reasons,
        "asked": dict(kit.asked),
    }
    for name in ("requests", "failures", "task_errors"):
        row[name] = [dict(getattr(one, name)) for one in runs]
    row["users"] = [max((n for _, n in one.users), default=0) for one in runs]
    with file.open("a") as out:
        out.write(json.dumps(row) + "\n")


@pytest.mark.long
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.path)
def test_an_example_runs_as_without_the_plugin(
    example: Example, world: World, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ran, kit = run_all(example, world, tmp_path)
    plain, ours = [one.figures for one in ran], kit.figures
    verdict = verdict_of(kit.folder / "runs")
    kept(example, plain, kit, verdict, tmp_path_factory.getbasetemp() / "examples.jsonl")
    differences = [
        *differing([one.requests for one in plain], ours.requests, busy=example.busy),
        *differing([one.failures for one in plain], ours.failures, busy=example.busy),
        *differing([one.task_errors for one in plain], ours.task_errors, busy=example.busy),
        *curve_differs([one.users for one in plain], ours.users, example.seconds_apart),
    ]
    assert not differences, ours.log[-3000:]
    groups = json.loads(next((kit.folder / "runs").glob("*/failure_groups.json")).read_text())
    assert groups["failures"] == ours.failures.total()
    assert "the run goes on" not in ours.log, "no part of the plugin failed"


def test_each_file_is_run_or_has_a_reason() -> None:
    files = {str(path.relative_to(FILES)) for path in FILES.rglob("*.py")}
    assert files == {example.path for example in EXAMPLES} | NOT_RUN.keys() | PARTS
