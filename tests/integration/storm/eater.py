"""The program inside a victim: it loses processes to the OOM killer, and logs each loss. Standard library only.

    main LIVES LINGER     the main process eats until it is killed, in its first LIVES lives; LINGER seconds in
    parent KIDS GAP       one child after the other is killed, GAP seconds apart; the parent lives on
    fight ROUNDS KIDS     KIDS children eat at once, ROUNDS times; the parent lives on
    both LIVES KIDS       in each of LIVES lives KIDS children are killed, then the main process
    exits KIDS CODE       KIDS children are killed, then the main process leaves with CODE
    once KIDS GAP         as `parent`, but leaves with 0 afterwards: for `docker exec`
    wait                  nothing happens

Each line of its output is one JSON object: what (start, eating, loss, done), ns (since 1970); of a loss also pid and
signal.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

FOOD_BYTES = 256 << 20  # more than any victim may have, so that not even the last one of several survives
LIVES_FILE = Path("/tmp/lives")  # noqa: S108  inside the container, and outlives a restart of it


def say(what: str, **more: int) -> None:
    """Write one line at once: the next moment may be the last."""
    os.write(1, (json.dumps({"what": what, "ns": time.time_ns(), **more}) + "\n").encode())


def eat() -> None:
    """Touch more memory than there is."""
    food = b"\1" * FOOD_BYTES
    sys.exit(f"{len(food)} bytes did not kill this process")


def hungry_child() -> int:
    """Start a child that eats, marked as what the kernel should choose; return its process id."""
    pid = os.fork()
    if pid == 0:
        Path("/proc/self/oom_score_adj").write_text("1000")
        eat()
    return pid


def mourn(count: int) -> None:
    """Wait for so many children, and log those that SIGKILL ended."""
    for _ in range(count):
        pid, status = os.wait()
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            say("loss", pid=pid, signal=int(signal.SIGKILL))
        else:
            say("survived", pid=pid, status=status)


def one_by_one(kids: int, gap: float) -> None:
    """Lose children one after the other."""
    for _ in range(kids):
        hungry_child()
        mourn(1)
        time.sleep(gap)


def rest() -> None:
    """Live on until somebody stops the container."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    say("done")
    while True:
        signal.pause()


def lives_so_far() -> int:
    """How often this container was started before; counts this start."""
    before = int(LIVES_FILE.read_text()) if LIVES_FILE.exists() else 0
    LIVES_FILE.write_text(str(before + 1))
    return before


def die(lives: int, linger: float, kids: int) -> None:
    """Lose `kids` children, then the main process itself, unless it died often enough."""
    if lives_so_far() < lives:
        one_by_one(kids, 0)
        time.sleep(linger)
        say("eating")
        eat()


def main(shape: str, *numbers: str) -> None:
    """Play one part."""
    first, second = (float(number) for number in (*numbers, "0", "0")[:2])
    say("start")
    if shape == "main":
        die(int(first), second, 0)
    elif shape == "both":
        die(int(first), 0, int(second))
    elif shape in ("parent", "once"):
        one_by_one(int(first), second)
    elif shape == "fight":
        for _ in range(int(first)):
            for _ in range(int(second)):
                hungry_child()
            mourn(int(second))
    elif shape == "exits":
        one_by_one(int(first), 0)
        sys.exit(int(second))
    if shape != "once":
        rest()


if __name__ == "__main__":
    main(*sys.argv[1:])
