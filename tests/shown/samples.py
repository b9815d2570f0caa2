"""The sample outputs of the documentation. The product's own code prints them, from made-up runs and recorded faults.

In a page, a sample is the block of code after the comment `<!-- sample: NAME -->`. `scripts/pictures` replaces each
block. tests/unit/test_samples.py checks that the pages show what the product prints now.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import NormalDist
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, Mock, patch

import msgspec
from locust import User
from locust.stats import RequestStats
from locust_kit import try_once
from locust_kit.try_once import Printer

from sidecar.cli.incidents import line
from sidecar.commands import artifacts, report, reports, run, up
from sidecar.commands.follow import RunObserved
from sidecar.commands.plan import MasterInfo, RunPlan
from sidecar.commands.seen import FinishedRun
from sidecar.common.console import Console
from sidecar.common.version import KIT_VERSION
from sidecar.diagnose import render
from sidecar.diagnose.evidence import Evidence
from sidecar.diagnose.judge import diagnose
from sidecar.incidents import phrases, workers
from sidecar.model import document
from sidecar.model.incident import ExitReason, Incident
from sidecar.model.run_record import RunRecord
from sidecar.report.document import make
from sidecar.report.verdict import comparison
from sidecar.settings import Settings, load
from sidecar.stack import as_decided, check, image_users, images, registered, requirements, workspace
from sidecar.stack.check import Checked, UserClass
from sidecar.stack.compose import Decided
from tests.fakes import run_scene, sidecar_samples
from tests.faults.record import DATA
from tests.paths import ROOT

PAGES = (ROOT / "README.md", ROOT / "docs" / "tutorial.md", ROOT / "docs" / "diagnose.md")
_SAMPLE = re.compile(r"(<!-- sample: ([a-z-]+) -->\n\n```text\n).*?(?=```\n)", re.DOTALL)
_GAMMA = 1.02  # of the buckets in performance.json
_WORKERS = 4
_IMAGES = ("locust", "monitor", "docker-proxy", "mock-target")
_MOCK = "http://mock-target:8080"
_REPORTS = "/home/ann/locust-kit/reports"


def renewed(page: str) -> str:
    """Return a page with every sample as the product prints it now."""
    with _on_a_plain_terminal():
        return _SAMPLE.sub(lambda found: f"{found[1]}{SAMPLES[found[2]]().rstrip()}\n", page)


@contextmanager
def _on_a_plain_terminal() -> Iterator[None]:
    """Have the same width and time zone everywhere."""
    with patch.dict(os.environ, {"COLUMNS": "100", "TZ": "UTC"}):
        time.tzset()
        yield
    time.tzset()


class _Terminal(io.StringIO):
    """A terminal; `seen` is what stays on it."""

    def isatty(self) -> bool:
        return True

    def seen(self) -> str:
        return re.sub(r"[^\n]*\r\x1b\[K", "", self.getvalue())


@dataclass(frozen=True)
class _Endpoint:
    """An endpoint of a made-up run: its requests spread around a median, and some of them answer 503."""

    method: str
    name: str
    requests: int
    median_ms: float
    spread: float = 0.45  # of the logarithm of the response times
    failures: int = 0


def _up(user_class: str, host: str, *words: str, built: Sequence[str]) -> str:
    """Let the real `up` print its steps; Docker, Compose and the builds are not there."""
    out, step_times = _Terminal(), iter((0.0, 66.2, 67.0, 68.9, 70.0, 72.4, 73.0, 77.9))
    console = Console(out, clock=partial(next, step_times))
    engine = MagicMock()
    engine.info.return_value = {"MemTotal": 32 << 30, "NCPU": 8}
    engine.containers.return_value, engine.network.return_value = (), None

    def prepare(settings: Settings, *_: object) -> up.Prepared:
        up.ImageBuilder(settings, engine, {}, console, {}).locust_and(list(built))
        checked = up.check_in_image(settings, engine, "", console)
        target = up.decide_target(settings, checked)
        return up.Prepared(Decided(target.host, mock=target.mock), target, checked, built=True)

    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (root / "locustfiles").mkdir()
        settings = load(list(words), {}, root)
        for owner, name, answer in (
            (up, "_pre_flight", (engine, ())),
            (up, "time", SimpleNamespace(monotonic=partial(next, iter((0.0, 78.3))))),
            (up, "prepare", prepare),
            (image_users, "record", None),
            (images, "build", None),
            (images, "stale", [images.IMAGES[key] for key in built]),
            (requirements, "read", None),
            (check, "check", (Checked((UserClass(user_class, host),)), False)),
            (workspace, "compose_for", Mock()),
            (up, "remember", None),
            (as_decided, "remember", None),
            (registered, "_count", (settings.workers, False)),
        ):
            stands_in = (
                answer if answer is prepare or isinstance(answer, SimpleNamespace) else Mock(return_value=answer)
            )
            stack.enter_context(patch.object(owner, name, stands_in))
        up.up(settings, {}, console)
    return out.seen()


def _try() -> str:
    """Let the real `try` run one user of a class whose requests are made up."""
    out = io.StringIO()
    printer = Printer(RequestStats())

    def request(name: str, time_ms: float, length: int) -> Callable[[User], None]:
        answer = SimpleNamespace(status_code=200)
        return lambda _user: printer.request("GET", name, time_ms, length, None, response=answer)

    browse, search = request("/api/data", 32.1, 277), request("/search", 82.7, 16)
    browse.__qualname__, search.__qualname__ = "Shopper.browse", "Shopper.search"
    shopper = type("Shopper", (User,), {"host": _MOCK, "tasks": [browse, search]})
    environment = MagicMock()
    with redirect_stdout(out), ExitStack() as stack:
        for name in ("note_answers", "take_over", "listen_first", "end_process_after"):
            stack.enter_context(patch.object(try_once, name))
        stack.enter_context(
            patch.object(try_once, "run_pass", lambda *_: try_once.try_user("Shopper", shopper(environment), printer))
        )
        try_once._try(environment, printer)
    return out.getvalue()


def _record(number: int, users: int, endpoints: Sequence[_Endpoint], **changes: Any) -> RunRecord:
    """Return the record of a run of one minute in which nothing broke, but for the changes."""
    seconds = run_scene.LENGTH
    requests, failures = (sum(getattr(one, name) for one in endpoints) for name in ("requests", "failures"))
    rate = requests / seconds
    moments = tuple(
        run_scene.moment(
            second, users=min(users, 10 * second), target_users=users, requests=requests * second // seconds,
            failures=failures * second // seconds, rps=rate, workers=_WORKERS,
            classes={"server_error": failures * second // seconds} if failures else {},
        )
        for second in range(seconds + 1)
    )  # fmt: skip
    clean = run_scene.clean()
    usual = replace(
        clean,
        run_id=f"20261127T010{number}03Z-ab{number}2",
        begin={
            **clean.begin,
            "host": _MOCK,
            "plan": {**clean.plan, "users": users},
            "workers_at_start": _WORKERS,
        },
        end={"requests": requests, "failures": failures, "most_users": users},
        statistics={
            "figures": _figures(endpoints, rate),
            "endpoints": [{"method": one.method, "name": one.name, **_figures([one])} for one in endpoints],
            "errors": [],
        },
        groups={"groups": [_group(one, failures) for one in endpoints if one.failures]},
        performance={"gamma": _GAMMA, "endpoints": [_performance(one) for one in endpoints]},
        moments=moments,
        series=(
            run_scene.container(1, service="locust-master"),
            *(run_scene.container(index) for index in range(1, _WORKERS + 1)),
        ),
    )
    return replace(usual, **changes)


def _times(endpoint: _Endpoint) -> list[float]:
    spread = NormalDist(math.log(endpoint.median_ms), endpoint.spread)
    return [math.exp(spread.inv_cdf((rank + 0.5) / endpoint.requests)) for rank in range(endpoint.requests)]


def _figures(endpoints: Sequence[_Endpoint], rate: float | None = None) -> dict[str, Any]:
    times = sorted(time_ms for endpoint in endpoints for time_ms in _times(endpoint))
    requests, failures = len(times), sum(endpoint.failures for endpoint in endpoints)
    return {
        "requests": requests,
        "failures": failures,
        "fail_ratio": failures / requests,
        "requests_per_second": rate or requests / run_scene.LENGTH,
        **{
            f"{name}_ms": round(times[min(requests - 1, int(share * requests))])
            for name, share in (("median", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
        },
    }


def _performance(endpoint: _Endpoint) -> dict[str, Any]:
    buckets: dict[str, int] = {}
    for time_ms in _times(endpoint)[: endpoint.requests - endpoint.failures]:
        index = str(math.ceil(math.log(time_ms) / math.log(_GAMMA)))
        buckets[index] = buckets.get(index, 0) + 1
    failed = {"buckets": {"100": endpoint.failures}} if endpoint.failures else {}
    return {"method": endpoint.method, "name": endpoint.name, "good": {"buckets": buckets}, "failed": failed}


def _group(endpoint: _Endpoint, failures: int) -> dict[str, Any]:
    share = endpoint.failures / failures
    named = {"method": endpoint.method, "name": endpoint.name, "count": endpoint.failures, "share": share}
    return {**named, "class": "server_error", "detail": "503", "message": "Service Unavailable"}


_EXAMPLE = (
    _Endpoint("GET", "/api/data", 1712, 1.3),
    _Endpoint("GET", "/api/health", 868, 1.1),
    _Endpoint("GET", "/slow", 281, 121.0, 0.02),
)


def _shop(search_ms: float) -> tuple[_Endpoint, ...]:
    return _Endpoint("GET", "/api/data", 1431, 1.3), _Endpoint("GET", "/search", 491, search_ms, 0.02)


def _first() -> RunRecord:
    return _record(1, 50, _shop(82.0))


def _slower() -> RunRecord:
    return _record(2, 50, _shop(122.0))


def _run(record: RunRecord, *words: str) -> str:
    """Let the real `run` print the first and the last lines of a run."""
    out = _Terminal()
    console = Console(out)
    settings = load(list(words), {}, ROOT / "tests")
    users, host = int(record.plan["users"]), str(record.begin["host"])
    plan = RunPlan(users, settings.spawn_rate, run_scene.LENGTH, host, (), "", class_picker=False)
    about = MasterInfo((), {}, "", False, (), 0, "", "2.47.0", "")  # noqa: FBT003  no class picker
    web = Mock()
    web.swarm.return_value = {"success": True}
    run._start(web, plan, settings, console)
    made = make(record, "locust", 8, KIT_VERSION)
    done = FinishedRun(plan, about, record.run_id, RunObserved(), record.started_at, record.seconds, "", {}, ())
    with ExitStack() as stack:
        for owner, name, answer in (
            (run, "_downloads", ([], [])),
            (run, "_of_disk", (made, "")),
            (artifacts, "collect", ([], [])),
            (artifacts, "move", None),
            (reports, "save_anew", f"{_REPORTS}/{record.run_id}"),
        ):
            stack.enter_context(patch.object(owner, name, Mock(return_value=answer)))
        run._finish(web, settings, done, {}, console)
    return out.seen()


def _report(made: Mapping[str, Any], *words: str) -> str:
    """Let the real `report` print a report that is made already."""
    out = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, patch.object(report, "document", Mock(return_value=made)):
        settings = load([f"REPORTS_DIR={folder}", *words], {}, ROOT / "tests")
        with patch.object(reports, "write"):
            report.report(settings, {}, Console(out))
        return out.getvalue().replace(str(folder), _REPORTS)


def _runs() -> str:
    """Let the real `report` list the runs of the tutorial."""
    out = io.StringIO()
    rows = [
        {**made["figures"], "run_id": made["run_id"], "state": made["state"], "verdict": made["verdict"], "host": _MOCK}
        for made in (make(record, "locust") for record in (_slower(), _first()))
    ]
    report._list(load([], {}, ROOT / "tests"), rows, Console(out))
    return out.getvalue()


def _compared() -> str:
    made = make(_slower(), "locust", 8, KIT_VERSION)
    made["comparison"] = comparison.document(_first(), _slower())
    return _report(made, "RUN=last", f"BASELINE={_first().run_id}")


def _busy_generator() -> RunRecord:
    """Return a run in which a worker's CPU was full from the twentieth second on."""
    usual = _record(3, 400, (_Endpoint("GET", "/api/data", 118_204, 38.0),))
    return replace(
        usual,
        moments=tuple(
            replace(moment, cpu_percent=99.0 if second >= 20 else 60.0) for second, moment in enumerate(usual.moments)
        ),
    )


def oom_story() -> tuple[Incident, ...]:
    """Return the OOM kill of a worker and what followed from it, in today's words; newest first."""
    snapshot = sidecar_samples.oom()
    lost, restart, kill = sidecar_samples.oom_story(sidecar_samples.NOW - timedelta(seconds=4))
    kill = replace(kill, text=phrases.oom_kill(kill))
    restart = replace(restart, text=phrases.restarted(restart, ExitReason.OOM, 137, None))
    worker = next(one for one in sidecar_samples.locust(4).workers if one.container == kill.container)
    text = workers._text(replace(worker, id=kill.workers[0]), snapshot, kill, 50, lost=True)
    story = (replace(lost, text=text), restart, kill)
    return tuple(replace(incident, until=incident.at) for incident in story)


def _incidents() -> str:
    return "\n".join(line(incident, "locust") for incident in reversed(oom_story()[1:]))


def _diagnosis(*, shortened: bool) -> str:
    """Return the diagnosis of a recorded firewall rule, shortened to its last piece of evidence if asked."""
    recorded = gzip.decompress((DATA / "a-drop-in-docker-user.json.gz").read_bytes()).decode()
    recorded = recorded.replace("kit-test-faults", "locust")
    found = diagnose(document.loads_as(Evidence, recorded, "evidence"))
    if shortened:
        (cause, *_) = found.findings
        found = replace(
            found, findings=(msgspec.structs.replace(cause, evidence=cause.evidence[-1:], consequences=()),)
        )
    return render.as_text(found, render.Style(80))


SAMPLES: Mapping[str, Callable[[], str]] = {
    "up": partial(_up, "ShopUser", _MOCK, built=_IMAGES),
    "run": lambda: _run(_record(0, 50, _EXAMPLE), "USERS=50", "RUN_TIME=1m"),
    "oom-kill": _incidents,
    "cannot-connect": partial(_diagnosis, shortened=True),
    "diagnosis": partial(_diagnosis, shortened=False),
    "invalid": lambda: _run(_busy_generator(), "USERS=400").partition("\n\n")[2],
    "try": _try,
    "up-own": partial(_up, "Shopper", _MOCK, "MOCK=1", "LOCUSTFILE=shop.py", built=_IMAGES[1:3]),
    "first-run": lambda: _run(_first(), "USERS=50", "RUN_TIME=1m"),
    "runs": _runs,
    "compared": _compared,
}
