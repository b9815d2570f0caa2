"""The fault matrix: each fault is caused for real, its cause is named first, and the printed commands fix it."""

from __future__ import annotations

import os

import pytest

from tests.faults.matrix import FAULTS, Fault
from tests.faults.world import CONNECT_SECONDS, WORKERS, Look, World
from tests.integration.stacks import until

RECORD = os.environ.get(
    "KIT_RECORD"
)  # a folder for a bundle of each; `python -m tests.faults.record` makes data of them


def marks(fault: Fault) -> list[pytest.MarkDecorator]:
    return [
        *([] if fault.often else [pytest.mark.long]),
        *([pytest.mark.kills] if fault.cause.endswith("-oom-killed") else []),
    ]


CASES = [pytest.param(fault, id=fault.name, marks=marks(fault)) for fault in FAULTS]


def recording(name: str) -> list[str]:
    return ["--bundle", f"{RECORD}/{name}.tar.gz"] if RECORD else []


@pytest.mark.matrix
@pytest.mark.parametrize("case", CASES)
def test_the_inflicted_cause_is_named_and_its_commands_mend_it(world: World, case: Fault) -> None:
    world.reset_files()
    world.well()
    try:
        with case.inflict(world) as look:
            diagnosis = world.diagnose(*recording(case.name), look=look)
            named = [finding["slug"] for finding in diagnosis["findings"] if finding["severity"] != "info"]
            assert diagnosis["summary"]["root_cause"] == case.cause, (named, diagnosis["findings"])
            assert named == [case.cause], named
            assert diagnosis["exit"] == (1 if case.severity == "error" else 0)
            first = diagnosis["findings"][0]
            assert all(piece["seen"] for piece in first["evidence"])
            assert bool(first["fix"]["commands"]) is case.commands, first["fix"]
            if not case.commands:
                assert first["fix"]["text"].startswith("Manual step: ")
                return
            world.mend(diagnosis, look)
            after = Look(root=look.root) if look else None
            until(world.is_connected, CONNECT_SECONDS, f"{WORKERS} workers to be connected after the printed commands")
            assert case.cause not in [finding["slug"] for finding in world.diagnose(look=after)["findings"]]
    finally:
        world.reset_files()
