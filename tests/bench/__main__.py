"""`make bench`: what watching costs, how late its news are, how long a diagnosis takes; in one run on one machine."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from tests.bench import cost, diagnosis, door, event_lag, failing, failure_cost, floor, footprint, million, paired
from tests.bench.stack import stack

ALONE: dict[str, Callable[[], None]] = {
    "failures": failing.report,
    "floor": floor.report,
    "texts": failure_cost.report,
    "million": million.report,
    "memory": footprint.report,
    "paired": paired.report,
    "door": door.report,
}
BESIDE_A_STACK = {
    "cost": cost.report,
    "lag": event_lag.report,
    "diagnose": diagnosis.report,  # the last one: it breaks the stack
}


def main() -> int:
    """Measure and print; what needs a stack after the rest, which it would disturb."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--only", choices=ALONE | BESIDE_A_STACK, help="measure this part alone")
    parser.add_argument("--workers", type=int, default=60, help="how many are watched (default: 60)")
    parser.add_argument("--keep", action="store_true", help="leave the stack running for another measurement")
    parser.add_argument(
        "--pairs",
        type=int,
        help=f"of runs: `paired` (default: {paired.PAIRS}), `texts` (default: {failure_cost.PAIRS})",
    )
    given = parser.parse_args()
    alone = ALONE | {
        "paired": lambda: paired.report(given.pairs or paired.PAIRS),
        "texts": lambda: failure_cost.report(given.pairs or failure_cost.PAIRS),
    }
    wanted = [given.only] if given.only else [*ALONE, *BESIDE_A_STACK]
    for name in filter(ALONE.__contains__, wanted):
        _measure(name, alone[name])
    if beside := [name for name in wanted if name in BESIDE_A_STACK]:
        with stack(given.workers, keep=given.keep):
            for name in beside:
                _measure(f"{name}: {given.workers} workers", BESIDE_A_STACK[name])
    return 0


def _measure(title: str, report: Callable[[], None]) -> None:
    print(f"{title}, load {os.getloadavg()[0]:.1f}", flush=True)
    report()


if __name__ == "__main__":
    sys.exit(main())
