"""All requests of real runs are accounted for: what the target counted is what the report says, to the request."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration import request_scripts
from tests.integration.request_scripts import FAST, GOODBYE, NOT_AT_TARGET, SLOW, Script
from tests.integration.stacks import USERS_FILES, Stack, docker, until
from tests.integration.verdicts import Judged

KINDS = ("reported", "after_the_end", "unreported", "left", "unanswered", "cut", "in_flight")
MORE = ("redirects", "retries", "resent")
USERS = {SLOW: 2, FAST: 2}
SEEDS = range(20)
SHORT = (0, 11)  # retries, redirects, hangs, missing `with`, a time-out, a goodbye
HANG = "def {name}(user):\n    user.client.get('/fast')\n    user.client.post('/hang', name='/checkout')\n"
DROP = "def {name}(user):\n    gevent.sleep(0.1)\n    user.client.get('/status/500', catch_response=True)\n"
BUSY = "def {name}(user):\n    gevent.sleep(0.1)\n    user.client.get('/fast')\n"
HEAD = "import gevent\nROUNDS = 10**9\ndef goodbye(user):\n    pass\n"


class Scripted(Judged):
    """A stack whose users follow a script."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        super().__init__(stack, folder)
        shutil.copy(USERS_FILES / "scripted" / "locustfile.py", folder)
        (folder / "which.json").write_text("null")
        for seed in SEEDS:
            (folder / f"script_{seed}.py").write_text(request_scripts.make(seed).text)
        for name, code in {"hang": HANG, "drop": DROP, "busy": BUSY}.items():
            (folder / f"{name}.py").write_text(HEAD + code.format(name=SLOW) + code.format(name=FAST))
        stack.settings |= {"RETRIES": "1", "STUCK_SECONDS": "1"}

    def follow(self, script: str) -> None:
        """Which script users follow from the next run on."""
        (self.folder / "which.json").write_text(json.dumps(script))
        self.target("/_mock/reset", "POST")

    def target(self, path: str, method: str = "GET") -> Any:
        """What the target answers to a container of its network."""
        code = (
            "import urllib.request as u;"
            f"print(u.urlopen(u.Request('http://mock-target:8080{path}', method='{method}')).read().decode())"
        )
        (master,) = self.stack.containers("locust-master")
        return json.loads(docker("exec", master, "python3", "-c", code))

    def at_target(self) -> int:
        """How many requests of the test the target counted; the monitor asks for its front page."""
        return sum(row["count"] for row in self.target("/_mock/counts")["rows"] if row["path"] != "/")

    def meter(self) -> Any:
        """The account of the run under way."""
        return self.stack.web("/locust-kit/status")["meters"]["requests"]

    def rates(self) -> list[int]:
        """How many requests a second each worker sent lately."""
        return [worker["per_second"] for worker in self.meter()["workers"].values()]


@pytest.fixture(scope="module")
def scripted(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Scripted:
    made = Scripted(stack, tmp_path_factory.mktemp("scripts"))
    stack.up("WORKERS=2")
    return made


def accounted(scripted: Scripted, run_id: str) -> Any:
    report = scripted.stack.ended(run_id)
    account = report["account"]
    assert account["sent"] == sum(account[kind] for kind in KINDS)
    return report


def check(report: dict[str, Any], at_target: int, expected: dict[str, Counter[str]]) -> None:
    """Hold the report against what the target counted, and each name against what its users did."""
    account = report["account"]
    assert account["after_the_end"] == expected.pop(GOODBYE, Counter())["reported"]
    rows = {row["name"]: row for row in account["endpoints"]}
    found = {
        name: Counter(
            {
                "reported": sum(row["requests"] for row in report["endpoints"] if row["name"] == name),
                **{kind: rows.get(name, {}).get(kind, 0) for kind in (*KINDS[2:], *MORE)},
            }
        )
        for name in expected
    }
    assert found == expected
    away = sum((counts for name, counts in expected.items() if NOT_AT_TARGET in name.split()), Counter[str]())
    sent = sum(account[kind] for kind in (*KINDS, *MORE))
    assert at_target == sent - away["reported"] - away["retries"]


@pytest.mark.parametrize(
    "seed", [seed if seed in SHORT else pytest.param(seed, marks=pytest.mark.long) for seed in SEEDS]
)
def test_what_the_target_counted_is_accounted_for(scripted: Scripted, seed: int) -> None:
    script: Script = request_scripts.make(seed)
    expected = script.counts(USERS)
    during = sum((counts for name, counts in expected.items() if name != GOODBYE), Counter[str]())
    scripted.follow(f"script_{seed}")
    run_id = scripted.start_by_web(users=4, rate=4, seconds=300)
    hanging = sum(counts["unanswered"] for name, counts in expected.items() if name.endswith(" hang"))

    def is_done() -> bool:
        meter = scripted.meter()
        waited = [seconds for row in meter["endpoints"] for seconds, _ in row.get("waiting", [])]
        settled = meter["in_flight"] == hanging and all(seconds >= 1 for seconds in waited)
        return bool(meter["sent"] == sum(during[kind] for kind in KINDS) and settled)

    until(is_done, 40, f"the users of script {seed} to have done everything")
    scripted.stop_by_web()
    check(accounted(scripted, run_id), scripted.at_target(), expected)


def test_a_checkout_that_hangs_is_a_failure_with_its_name_and_time(scripted: Scripted) -> None:
    scripted.follow("hang")
    code, report = scripted.run("STUCK_SECONDS=4", "RUN_TIME=9s")
    assert (code, report["verdict"]) == (1, "FAIL")
    hanging = scripted.target("/_mock/counts")["behaviours"]["hang"]
    (said,) = [reason for reason in report["reasons"] if "/checkout were never" in reason]
    assert said.startswith(f"{hanging} requests of POST /checkout were never answered, the oldest waited ")
    assert any(reason.startswith("no request finished for ") for reason in report["reasons"])
    assert scripted.told("STUCK_SECONDS=0")[1]["verdict"] == "PASS"


def test_answers_that_were_never_reported_are_named_by_line(scripted: Scripted) -> None:
    scripted.follow("drop")
    code, report = scripted.run("RUN_TIME=5s")
    assert (code, report["verdict"], report["judged"]["reasons"][0]["kind"]) == (4, "INVALID", "unreported")
    unreported = report["account"]["unreported"]
    assert unreported <= scripted.at_target() <= unreported + 6  # the last of each user was cut off
    places = {site["place"]: site["count"] for site in report["account"]["sites"]}
    assert (set(places), sum(places.values())) == ({"drop.py:7", "drop.py:10"}, unreported)
    assert report["reasons"][0].startswith(
        f"{unreported} answers were never reported: catch_response=True without `with`"
    )


def sums(account: dict[str, Any]) -> tuple[int, int]:
    """All that was sent by the account, and how much of it may not have come to the target."""
    return sum(account[kind] for kind in (*KINDS, *MORE)), account["cut"] + account["in_flight"]


@pytest.mark.long
def test_workers_that_are_scaled_away_take_no_request_along(scripted: Scripted) -> None:
    scripted.follow("busy")
    run_id = scripted.start_by_web(users=6, rate=6, seconds=300)
    until(lambda: scripted.meter()["sent"] > 60, 30, "requests of both workers")
    assert scripted.stack.kit("scale", "WORKERS=1").returncode == 0
    before = scripted.meter()["sent"]
    until(lambda: scripted.meter()["sent"] > before + 60, 30, "requests of the worker that stays")
    scripted.stop_by_web()
    account = accounted(scripted, run_id)["account"]
    sent, cut = sums(account)
    assert sent - cut <= scripted.at_target() <= sent
    assert (account["lost"], cut <= 12) == ([], True)
    scripted.stack.up("WORKERS=2")


@pytest.mark.long
def test_what_a_killed_worker_took_along_is_named_and_at_most_its_last_three_seconds(scripted: Scripted) -> None:
    scripted.follow("busy")
    run_id = scripted.start_by_web(users=6, rate=6, seconds=300)
    until(lambda: len(scripted.rates()) == 2 and all(scripted.rates()), 30, "a rate of each worker")
    victim = scripted.stack.containers("locust-worker")[0]
    docker("kill", victim)
    try:
        until(lambda: scripted.stack.worker_count() == 1, 30, "the worker to be missed")
        scripted.stop_by_web()
        report = accounted(scripted, run_id)
    finally:
        docker("start", victim)
        until(lambda: scripted.stack.worker_count() == 2, 60, "the worker to be back")
    ((lost,), (sent, cut)) = report["account"]["lost"], sums(report["account"])
    assert victim.startswith(lost["worker"].partition("_")[0])
    second = lost["requests"] // 3  # a report may be late by that
    assert sent - cut <= scripted.at_target() <= sent + lost["requests"] + second
    assert any(f"worker {lost['worker']} was lost" in warning for warning in report["warnings"])
