"""The ledger after its process was killed, or found no space: what a commit returned for is there, and nothing half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.common.errors import LedgerError
from sidecar.ledger.ledger import Ledger
from sidecar.ledger.ledger_reader import LedgerReader
from sidecar.model.history import IncidentQuery
from tests.fakes.ledger_samples import clock, container_id, event, events_of, incident
from tests.paths import ROOT

DISK = "1m"

# Goes on from what is there, as a sidecar does: replays the last ten events, then new ones, for ever.
WRITER = """
import sys
from pathlib import Path
from sidecar.ledger.ledger import Ledger
from tests.fakes.ledger_samples import NOW_NS, clock, event, incident
ledger = Ledger(Path(sys.argv[1]), clock)
last = (ledger.last_event_ns() or NOW_NS) - NOW_NS
number = max(1, last - 9)
while True:
    with ledger.commit() as batch:
        new = batch.journal(event(number))
        if new:
            batch.upsert(incident(number))
    assert new == (number > last), (number, last)
    print(number, flush=True)
    number += 1
"""

# The limit on a file's size stands in for a full disk where nothing can be mounted.
FULL = """
import resource, signal, sys
from pathlib import Path
from sidecar.common.errors import LedgerError
from sidecar.ledger.ledger import Ledger
from tests.fakes.ledger_samples import clock, event, incident
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger(Path(sys.argv[1]), clock)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
def put(number):
    with ledger.commit() as batch:
        batch.journal(event(number, raw="r" * 5000))
        batch.upsert(incident(number, text="t" * 5000))
number = 1
try:
    while number < 10_000:
        put(number)
        print(number, flush=True)
        number += 1
except LedgerError as error:
    print(error, file=sys.stderr)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
put(number)
print(number, flush=True)
"""


def python(script: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def numbers(folder: Path) -> tuple[list[int], list[int]]:
    """The numbers of the incidents and of the events that a reader finds."""
    reader = LedgerReader(folder)
    incidents = [
        int(one.id.removeprefix("incident-"))
        for one in reader.incidents(IncidentQuery(limit=10**6, newest_first=False))
    ]
    events = [(one.owner.index or 0) for one in events_of(reader, container_id(1), limit=10**6)]
    reader.close()
    return incidents, events


def test_a_killed_writer_leaves_what_it_committed_and_nothing_half(tmp_path: Path) -> None:
    committed = 0
    for kills in range(1, 7):
        with python(WRITER, tmp_path) as child:
            assert child.stdout
            assert child.stderr
            for _ in range(20 + 37 * kills):
                printed = child.stdout.readline()
                assert printed, child.stderr.read()
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read().split()
        committed = int([printed, *rest][-1])
        incidents, events = numbers(tmp_path)
        assert incidents == events == list(range(1, len(events) + 1))
        assert committed <= len(events) <= committed + 1  # killed between the commit and the word about it
    assert committed > 800


def test_a_commit_without_space_writes_nothing_and_a_later_one_works(tmp_path: Path) -> None:
    with python(FULL, tmp_path) as child:
        out, said = child.communicate()
    assert child.returncode == 0, said
    assert "the ledger could not be written" in said
    written = [int(word) for word in out.split()]
    assert len(written) > 3  # it had begun well
    assert numbers(tmp_path) == (written, written)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, check=False, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_and_costs_nothing_that_was_committed(small_disk: Path) -> None:
    ledger = Ledger(small_disk, clock)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 500_000)
    written = 0

    def put() -> None:
        nonlocal written
        with ledger.commit() as batch:
            batch.journal(event(written + 1, raw="r" * 5000))
            batch.upsert(incident(written + 1, text="t" * 5000))
        written += 1

    def fill() -> None:
        while written < 10_000:
            put()

    with pytest.raises(LedgerError, match="full"):
        fill()
    assert numbers(small_disk) == (list(range(1, written + 1)),) * 2
    ballast.unlink()
    put()
    ledger.close()
    assert written > 5
    assert numbers(small_disk) == (list(range(1, written + 1)),) * 2
