"""What capturing failures costs a worker, beside the guide's snippets taken together: CPU of a listener's call.

A program of its own (`python -m tests.bench.failing`), because Locust changes Python's sockets and threads.
"""

from __future__ import annotations

import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

_TIMES, _CALLS, _SLOW_CALLS = 7, 20_000, 500
_DISTINCT = 20_000


def report() -> None:
    """Run the program, and show what it prints."""
    subprocess.run([sys.executable, "-m", "tests.bench.failing"], check=True)


class _Answer:
    """The part of a response that is looked at."""

    status_code = 503
    url = "http://shop/cart"
    headers = {"Server": "shop"}  # noqa: RUF012  as a response has it
    text = "busy"
    _content = b"busy" * 50


def _passed(exception: BaseException | None, number: int) -> dict[str, Any]:
    return {
        "request_type": "GET",
        "name": "/cart",
        "response_time": 12.5,
        "response_length": 200,
        "exception": exception,
        "response": _Answer,
        "context": {},
        "url": f"http://shop/cart/{number}",
        "start_time": 1.0,
    }


def _microseconds(listener: Callable[..., None], passed: list[dict[str, Any]], calls: int) -> float:
    """CPU of one call: the median of several rounds."""
    rounds = []
    for _ in range(_TIMES):
        began = time.process_time()
        for number in range(calls):
            listener(**passed[number % len(passed)])
        rounds.append(1e6 * (time.process_time() - began) / calls)
    return statistics.median(rounds)


class _Guide:
    """The guide's listeners as they stand there: a CSV opened for each failure, a file for each, sums by words."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sums: Counter[str] = Counter()
        self._requests = self._failures = 0

    def listen(self, request_type: str, name: str, response_time: float, exception: Any, **passed: Any) -> None:
        self._requests += 1
        if exception is None:
            return
        self._failures += 1
        row = [datetime.now().isoformat(), request_type, name, response_time, str(exception)]  # noqa: DTZ005  as there
        with (self._folder / "failure_analysis.csv").open("a", newline="") as file:
            csv.writer(file).writerow(row)
        details = {"row": row, "headers": passed["response"].headers, "text": passed["response"].text[:1000]}
        with (self._folder / f"failure_{self._failures}.json").open("w") as file:
            json.dump(details, file, indent=2)
        words = str(exception).lower()
        self._sums["server_error" if "50" in words else "other"] += 1


def main() -> None:
    """Measure and print."""
    import requests  # noqa: PLC0415  after Locust, which must be first
    from locust.exception import CatchResponseError  # noqa: PLC0415
    from locust_kit.failures.counters import RequestCounters  # noqa: PLC0415

    good = [_passed(None, 0)]
    same = [_passed(requests.exceptions.HTTPError("503 Server Error: busy for url: /cart"), n) for n in range(1000)]
    distinct = [_passed(CatchResponseError(f"no stock for order {n} at 10.0.0.7"), n) for n in range(_DISTINCT)]
    ours = RequestCounters()
    for what, passed in (("good request", good), ("failure", same), ("failure, each message another", distinct)):
        print(f"  {what:<32} {_microseconds(ours.on_request, passed, _CALLS):7.1f} µs")
        ours.report()
    with tempfile.TemporaryDirectory() as folder:
        guide = _Guide(Path(folder))
        print(f"  {'the guide, good request':<32} {_microseconds(guide.listen, good, _CALLS):7.1f} µs")
        print(f"  {'the guide, failure':<32} {_microseconds(guide.listen, same, _SLOW_CALLS):7.1f} µs")


if __name__ == "__main__":
    import locust  # noqa: F401  it must change the modules before anybody imports them

    main()
