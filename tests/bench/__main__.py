"""`make bench`: what watching costs, how late its news are, how long a diagnosis takes; in one run on one machine."""

from __future__ import annotations

import argparse
import os
import sys

from tests.bench import cost, diagnosis, event_lag, failing, paired
from tests.bench.stack import stack

PARTS = {
    "cost": cost.report,
    "lag": event_lag.report,
    "failures": failing.report,
    "paired": paired.report,
    "diagnose": diagnosis.report,  # the last one: it breaks the stack
}


def main() -> int:
    """Bring the stack up, measure, print, take the stack down."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="measure this part alone")
    parser.add_argument("--workers", type=int, default=60, help="how many are watched (default: 60)")
    parser.add_argument("--keep", action="store_true", help="leave the stack running for another measurement")
    given = parser.parse_args()
    with stack(given.workers, keep=given.keep):
        for name in [given.only] if given.only else PARTS:
            print(f"{name}: {given.workers} workers, load {os.getloadavg()[0]:.1f}", flush=True)
            PARTS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
