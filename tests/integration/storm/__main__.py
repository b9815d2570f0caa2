"""A storm against a sidecar that stands: `python3 -m tests.integration.storm SHAPE --project NAME --port PORT`.

Standard library only.

For machines that have no more than Python and Docker: one of cgroup v2, or one whose daemon may be stopped.
Exit status: 0 when the sidecar's account is right, 1 when it is not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace

from tests.integration.storm.battle import FULL, SHORT, Battle
from tests.integration.storm.judgement import UNPLACED_PERCENT, table
from tests.integration.storm.mains import lost, one_after_another
from tests.integration.storm.victims import Ward


def main() -> int:
    """Run one storm, print truth against account."""
    parser = argparse.ArgumentParser(prog="storm")
    parser.add_argument("shape", choices=("short", "full", "mains"), help="mains: main processes, one after another")
    parser.add_argument("--project", required=True, help="the Compose project that the sidecar watches")
    parser.add_argument("--port", type=int, required=True, help="of its API, on loopback")
    parser.add_argument("--patience", type=float, default=600, help="seconds to wait for each part of it")
    parser.add_argument("--kills", type=int, default=50, help="of main processes")
    parser.add_argument("--probe", type=int, default=1, help="seconds between health checks of those that have one")
    parser.add_argument(
        "--unplaced", type=int, default=UNPLACED_PERCENT, help="percent of the kills that may be told so"
    )
    parser.add_argument("--first", default="true", help="a shell command after the first wave")
    parser.add_argument("--second", default="true", help="a shell command after the second wave")
    given = parser.parse_args()
    ward = Ward(given.project, given.probe)
    ward.remove()
    battle = Battle(ward, patience_seconds=given.patience)
    try:
        if given.shape == "mains":
            problems = mains(battle, given.kills, given.port)
        else:
            battle.fight(
                {"short": SHORT, "full": FULL}[given.shape], (lambda: shell(given.first), lambda: shell(given.second))
            )
            judgement = replace(battle.judged(given.port), most_unplaced_percent=given.unplaced)
            print(table(judgement))
            problems = judgement.problems
    finally:
        ward.remove()
    return 1 if problems else 0


def mains(battle: Battle, kills: int, port: int) -> list[str]:
    """Kills of main processes, each of which must be one incident; print what the engine and the sidecar have."""
    engine = one_after_another(battle, kills)
    judgement = battle.judged(port)
    found = [kill for row in judgement.rows for kill in row.kills if kill.count]  # 0: taken back
    guessed = sum(one.document["estimated"] for one in found)
    missed = lost(engine, [row.truth for row in judgement.rows])
    print(table(judgement))
    print("the engine: no `oom` event of {event}, no OOMKilled of {flag}, neither of {both}".format(**missed))
    print(f"the sidecar: {len(found)} incidents, {guessed} of them estimated, for {judgement.happened} kills")
    wrong = [f"an incident of {one.count} kills" for one in found if one.count != 1]
    if len(found) != kills:
        wrong.append(f"{len(found)} incidents of {kills} kills")
    print(*wrong, sep="\n")
    return [*judgement.problems, *wrong]


def shell(command: str) -> None:
    """Run what the caller wants done in the middle; it must succeed."""
    subprocess.run(["bash", "-c", command], check=True, timeout=600)


if __name__ == "__main__":
    sys.exit(main())
