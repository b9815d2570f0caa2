"""A storm against a sidecar that stands: `python3 -m storm SHAPE --project NAME --port PORT`. Standard library only.

For machines that have no more than Python and Docker: one of cgroup v2, or one whose daemon may be stopped.
Exit status: 0 when the sidecar's account is right, 1 when it is not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace

from storm.battle import FULL, MAIN_ONCE, SHORT, Battle, Waves
from storm.judgement import UNPLACED_PERCENT, table
from storm.victims import Ward

MAINS = 50


def main() -> int:
    """Run one storm, print truth against account."""
    parser = argparse.ArgumentParser(prog="storm")
    parser.add_argument("shape", choices=("short", "full", "mains"), help=f"mains: {MAINS} kills of a main process")
    parser.add_argument("--project", required=True, help="the Compose project that the sidecar watches")
    parser.add_argument("--port", type=int, required=True, help="of its API, on loopback")
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for each part of it")
    parser.add_argument("--probe", type=int, default=1, help="seconds between health checks of those that have one")
    parser.add_argument(
        "--unplaced", type=int, default=UNPLACED_PERCENT, help="percent of the kills that may be told so"
    )
    parser.add_argument("--first", default="true", help="a shell command after the first wave")
    parser.add_argument("--second", default="true", help="a shell command after the second wave")
    given = parser.parse_args()
    mains: Waves = ((MAIN_ONCE,) * MAINS, (), ())
    ward = Ward(given.project, given.probe)
    ward.remove()
    battle = Battle(ward, patience_seconds=given.patience)
    try:
        battle.fight(
            {"short": SHORT, "full": FULL, "mains": mains}[given.shape],
            (lambda: shell(given.first), lambda: shell(given.second)),
        )
        judgement = replace(battle.judged(given.port), most_unplaced_percent=given.unplaced)
    finally:
        ward.remove()
    print(table(judgement))
    return 1 if judgement.problems else 0


def shell(command: str) -> None:
    """Run what the caller wants done in the middle; it must succeed."""
    subprocess.run(["bash", "-c", command], check=True, timeout=600)


if __name__ == "__main__":
    sys.exit(main())
