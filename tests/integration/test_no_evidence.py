"""Runs without evidence are never PASS, and a run that the locustfile ends says so; afterwards the stack works again.

The volumes of runs and ledger are small here, so that they can be filled.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stacks import USERS_FILES, Stack, docker, get_json, readable, until

SIZE = "24m"
OWNER = "uid=10001,gid=10001,mode=0755"


@dataclass
class Small:
    """A stack with small volumes, and a container that can fill them."""

    stack: Stack
    folder: Path
    filler: str

    def be(self, mode: str = "") -> None:
        """What the master's code does with the next run."""
        (self.folder / "mode.json").write_text(json.dumps(mode))

    def fill(self, volume: str) -> None:
        docker("exec", "-u", "0", self.filler, "sh", "-c", f"cat /dev/zero > /v/{volume}/fill || true", check=False)

    def make_room(self, volume: str) -> None:
        docker("exec", "-u", "0", self.filler, "rm", "-f", f"/v/{volume}/fill")

    def recording(self) -> Any:
        """What the sidecar says of its ledger; None while it does not answer."""
        try:
            return get_json(f"http://127.0.0.1:{self.stack.monitor_port}/healthz").get("recording")
        except OSError:
            return None

    def renew_monitor(self) -> None:
        """Restart the sidecar: with a short write-ahead log a full disk is felt at once."""
        docker("restart", *self.stack.containers("monitor"))
        self.wait_for_ledger()

    def wait_for_ledger(self) -> None:
        def is_recorded() -> bool:
            recording = self.recording()
            return bool(recording and recording["recorded_until"] and not recording["error"])

        until(is_recorded, 60, "the ledger to be written")

    def run(self, *words: str, during: Callable[[], None] | None = None) -> tuple[int, Any, str]:
        """A run by `kit run`: its exit code, its report, and what was printed. `during` is done once it goes."""
        words = ("USERS=4", "SPAWN_RATE=4", *words)
        if during is None:
            done = self.stack.kit("run", *words)
            code, printed = done.returncode, done.stdout + done.stderr
        else:
            going = self.stack.start_run(*words)
            during()
            printed = going.communicate(timeout=300)[0]
            code = going.returncode
        assert code != 2, printed
        newest = max(self.stack.reports.glob("*/report.json"), key=lambda path: path.stat().st_mtime_ns)
        return code, json.loads(newest.read_text()), printed

    def told_anew(self) -> Any:
        """What the disk tells of the last run by now."""
        self.stack.kit("report", "RUN=last")
        newest = max(self.stack.reports.glob("*/report.json"), key=lambda path: path.stat().st_mtime_ns)
        return json.loads(newest.read_text())


@pytest.fixture(scope="module")
def small(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    folder = tmp_path_factory.mktemp("locustfiles")
    readable(folder)
    shutil.copy(USERS_FILES / "ending" / "locustfile.py", folder)
    project = stack.project
    labels = (f"com.docker.compose.project={project}", "com.docker.compose.volume=")
    for volume in ("runs", "ledger"):
        docker(
            "volume", "create", "--driver", "local", "--opt", "type=tmpfs", "--opt", "device=tmpfs",
            "--opt", f"o=size={SIZE},{OWNER}", "--label", labels[0], "--label", labels[1] + volume,
            f"{project}_{volume}",
        )  # fmt: skip
    made = Small(stack, folder, f"{project}-filler")
    made.be()
    stack.settings |= {"LOCUSTFILES_DIR": str(folder), "MOCK": "1", "WORKER_MEMORY": "256M"}
    stack.up("WORKERS=2")
    try:
        docker(
            "run", "-d", "--name", made.filler, "--entrypoint", "sleep", "--network", "none",
            "-v", f"{project}_runs:/v/runs", "-v", f"{project}_ledger:/v/ledger", "locust-kit/mock-target:local",
            "infinity",
        )  # fmt: skip
        yield made
    finally:
        docker("rm", "-f", made.filler, check=False)


def kinds(report: Any) -> set[str]:
    return {reason["kind"] for reason in report["judged"]["reasons"]}


LONG = pytest.mark.long
SECONDS = {"before": 0, "middle": 3, "end": 12}


def wait_in_run(small: Small, seconds: int) -> None:
    """Wait until the run that goes has requests of so many seconds."""
    if seconds:
        until(lambda: requests_of(small) > seconds * 15, 60, f"{seconds} s of requests")


def requests_of(small: Small) -> int:
    """The requests that the master has counted."""
    return int(small.stack.web("/stats/requests")["stats"][-1]["num_requests"])


@pytest.mark.parametrize(
    ("mode", "call"),
    [pytest.param("quit", "runner.quit()", marks=LONG), ("stop", "runner.stop()"),
     pytest.param("exit", "sys.exit(3)", marks=LONG)],
)  # fmt: skip
def test_the_locustfile_ends_a_run_and_the_next_one_works(small: Small, mode: str, call: str) -> None:
    small.be(mode)
    code, report, printed = small.run("RUN_TIME=60s")
    small.be()
    assert (code, report["verdict"], kinds(report)) == (4, "INVALID", {"ended_early"}), printed
    (reason,) = report["reasons"]
    assert reason.startswith(f"ended by the locustfile: {call} after "), printed
    assert " of 60 s (locustfile.py:" in reason
    assert report["figures"]["requests"] >= 30
    assert (small.stack.reports / report["run_id"] / "locust_report.html").exists()
    code, report, printed = small.run("RUN_TIME=6s")
    assert (code, report["verdict"]) == (0, "PASS"), printed
    assert report["workers"]["at_start"] == 2


@pytest.mark.parametrize(
    "moment", [pytest.param(moment, marks=LONG) for moment in ("before", "middle", "end")]
)  # fmt: skip
def test_a_ledger_that_is_full_is_no_evidence_until_there_is_room(small: Small, moment: str) -> None:
    small.renew_monitor()
    seconds, refused = SECONDS[moment], list[Any]()

    def strike() -> None:
        wait_in_run(small, seconds)
        small.fill("ledger")
        refused.append(until(lambda: (found := small.recording()) and found["error"] and found, 30, "the refusal"))

    if moment == "before":
        strike()
    code, report, printed = small.run("RUN_TIME=14s", during=strike if seconds else None)
    small.make_room("ledger")
    assert refused[0]["not_recorded_since"]
    assert (code, report["verdict"]) == (4, "INVALID"), printed
    assert "not_recorded" in kinds(report), printed
    assert "database or disk is full" in printed
    small.wait_for_ledger()
    until(lambda: small.told_anew()["verdict"] == "PASS", 60, "all to be made up for")
    code, report, printed = small.run("RUN_TIME=6s")
    assert (code, report["verdict"]) == (0, "PASS"), printed


@pytest.mark.parametrize(
    "moment", ["before", pytest.param("middle", marks=LONG), pytest.param("end", marks=LONG)]
)  # fmt: skip
def test_a_run_that_cannot_be_written_down_is_invalid_and_written_once_there_is_room(small: Small, moment: str) -> None:
    seconds = SECONDS[moment]

    def strike() -> None:
        wait_in_run(small, seconds)
        small.fill("runs")

    if moment == "before":
        strike()
    code, report, printed = small.run("RUN_TIME=14s", during=strike if seconds else None)
    assert small.stack.web("/locust-kit/status")["record_error"] == "No space left on device"
    small.make_room("runs")
    assert (code, report["verdict"]) == (4, "INVALID"), printed
    assert "not_recorded" in kinds(report), printed
    assert "No space left on device" in printed
    until(lambda: small.stack.web("/locust-kit/status")["record_error"] == "", 30, "the record to be written")
    anew = until(lambda: (found := small.told_anew())["verdict"] == "PASS" and found, 60, "the whole record")
    assert anew["figures"]["requests"] == requests_of(small)


@LONG
@pytest.mark.kills
def test_an_oom_kill_while_the_ledger_is_full_is_no_pass_and_is_known_once_there_is_room(small: Small) -> None:
    small.renew_monitor()

    def strike() -> None:
        small.fill("ledger")
        until(lambda: (small.recording() or {}).get("error"), 30, "the refusal")
        worker = small.stack.containers("locust-worker")[0]
        docker("exec", worker, "python3", "-c", "b'x' * (900 << 20)", check=False)

    code, report, printed = small.run("RUN_TIME=14s", during=strike)
    small.make_room("ledger")
    assert (code, report["verdict"]) == (4, "INVALID"), printed
    assert "not_recorded" in kinds(report), printed
    small.wait_for_ledger()
    until(lambda: "oom_kill" in kinds(small.told_anew()), 60, "the kill to be recorded")
