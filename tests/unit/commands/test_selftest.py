"""The self-test against a pretend sidecar, a pretend engine and a pretend docker command."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sidecar.client.documents import IncidentList
from sidecar.client.reader import SidecarReader
from sidecar.commands import selftest as whole
from sidecar.commands import victims as room
from sidecar.commands.selftest import VictimRow, compare, image_with_python, table, verdict, wait_for_rows
from sidecar.commands.victims import PROGRAM, SHAPES, SelftestError, Victim, started, wait_for_losses
from sidecar.common.console import Console
from sidecar.engine.docker_engine import DockerEngine
from sidecar.model import document
from sidecar.model.incident import FINAL, PROVISIONAL, Incident, IncidentKind, Severity
from sidecar.stack.registered import Clock
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.fake_time import FakeTime

MAIN, CHILDREN, LOOP = SHAPES
NOW = datetime(2026, 11, 22, 15, 4, 5, tzinfo=UTC)
IDS = ("a" * 64, "b" * 64, "c" * 64)
LOG = [*(json.dumps({"lost": n, "signal": 9}) for n in range(3)), json.dumps({"done": True})]


def exited(code: int, restarts: int = 0, status: str = "exited") -> dict[str, Any]:
    return {"State": {"Status": status, "ExitCode": code}, "RestartCount": restarts}


def kill(container_id: str, count: int = 1, **changes: Any) -> Incident:
    made = Incident(
        f"{container_id[:4]}{count}",
        IncidentKind.OOM_KILL,
        Severity.ERROR,
        NOW,
        "",
        state=FINAL,
        container_id=container_id,
    )
    return replace(made, count=count, **changes)


def test_a_main_process_is_its_own_witness() -> None:
    assert MAIN.losses(exited(137), []) == 1


def test_a_victim_that_still_runs_has_no_result_yet() -> None:
    assert MAIN.losses(exited(0, status="running"), []) is None
    assert LOOP.losses(exited(137, 2, status="restarting"), []) is None


def test_a_victim_that_ended_otherwise_was_not_killed() -> None:
    assert MAIN.losses(exited(1), []) == 0


def test_a_restart_loop_counts_each_life() -> None:
    assert LOOP.losses(exited(137, 3), []) == 4


def test_children_are_counted_by_their_parents_log() -> None:
    assert CHILDREN.losses(exited(0, status="running"), LOG) == 3
    assert CHILDREN.losses(exited(0, status="running"), LOG[:2]) is None


def test_a_child_that_another_signal_ended_was_not_oom_killed() -> None:
    assert CHILDREN.losses({}, [json.dumps({"lost": 1, "signal": 15}), "no json", LOG[-1]]) == 0


NAMES = dict(zip(IDS, ("one", "two", "three"), strict=True))


def test_every_kill_seen_is_a_pass() -> None:
    rows = compare(NAMES, dict.fromkeys(IDS, 2), [kill(one, 2) for one in IDS])
    assert verdict(rows) == "passed: the monitor recorded each of 6 OOM kills"
    assert {row.word for row in rows} == {"seen"}


def test_kills_of_one_container_in_several_incidents_add_up() -> None:
    rows = compare({"a": "one"}, {"a": 4}, [kill("a", 1), kill("a", 3), kill("z", 9)])
    assert rows == (VictimRow("one", "a", 4, 4),)


def test_an_incident_of_another_kind_is_no_kill() -> None:
    assert compare({"a": "one"}, {"a": 1}, [kill("a", kind=IncidentKind.RESTART)])[0].seen == 0


@pytest.mark.parametrize(("seen", "word"), [(1, "2 MISSED"), (5, "2 TOO MANY")])
def test_a_kill_missed_or_made_up_fails(seen: int, word: str) -> None:
    rows = compare({"a": "one"}, {"a": 3}, [kill("a", seen)])
    assert rows[0].word == word
    assert verdict(rows) == f"FAILED: 3 OOM kills happened, but the monitor recorded {seen}"
    assert word in table(rows)[1]


def test_an_estimated_count_is_said_to_be_one() -> None:
    assert compare({"a": "one"}, {"a": 3}, [kill("a", 3, estimated=True)])[0].word == "seen (estimated)"


def victims() -> tuple[Victim, ...]:
    return tuple(Victim(shape, shape.name, one) for shape, one in zip(SHAPES, IDS, strict=True))


def killed(engine: FakeEngine) -> None:
    """Let the pretend engine tell of victims that have been through it."""
    for one, inspected in zip(IDS, (exited(137), exited(0, status="running"), exited(137, 3)), strict=True):
        engine.answers[f"/containers/{one}/json"] = inspected
    engine.answers[f"/containers/{IDS[1]}/logs"] = "\n".join(LOG).encode()
    engine.answers["/images/locust-kit/monitor:local/json"] = {"Id": "sha256:1"}


def test_the_losses_of_all_victims_are_waited_for(
    fake_engine: FakeEngine, engine: DockerEngine, fake_time: FakeTime
) -> None:
    killed(fake_engine)
    fake_engine.answers[f"/containers/{IDS[0]}/json"] = exited(0, status="running")

    def sleep(seconds: float) -> None:
        fake_time.sleep(seconds)
        fake_engine.answers[f"/containers/{IDS[0]}/json"] = exited(137)

    found = wait_for_losses(victims(), engine, Clock(fake_time.clock().now, sleep))
    assert found == dict(zip(IDS, (1, 3, 4), strict=True))


def test_a_victim_that_never_ends_makes_no_result(
    fake_engine: FakeEngine, engine: DockerEngine, fake_time: FakeTime
) -> None:
    killed(fake_engine)
    fake_engine.answers[f"/containers/{IDS[0]}/json"] = exited(0, status="running")
    with pytest.raises(SelftestError, match="did not finish within 90 s: main process") as caught:
        wait_for_losses(victims(), engine, fake_time.clock())
    assert caught.value.exit_code == 3


def test_a_kernel_that_kills_nothing_makes_no_result(
    fake_engine: FakeEngine, engine: DockerEngine, fake_time: FakeTime
) -> None:
    killed(fake_engine)
    fake_engine.answers[f"/containers/{IDS[0]}/json"] = exited(1)
    with pytest.raises(SelftestError, match="killed no process in: main process"):
        wait_for_losses(victims(), engine, fake_time.clock())


def test_without_an_image_of_the_kit_nothing_is_started(engine: DockerEngine) -> None:
    with pytest.raises(SelftestError, match="no image of the kit is built"):
        image_with_python(engine)


def test_the_sidecar_has_some_time_to_agree(fake_time: FakeTime) -> None:
    answers = iter([[], [kill(IDS[0])]])
    rows = wait_for_rows(victims()[:1], {IDS[0]: 1}, lambda: next(answers), fake_time.clock())
    assert rows[0].passed


def test_a_count_that_may_still_rise_is_no_last_word(fake_time: FakeTime) -> None:
    answers = iter([[kill(IDS[0], state=PROVISIONAL)], [kill(IDS[0], 2)], [kill(IDS[0], 1)]])
    wait_for_rows(victims()[:1], {IDS[0]: 1}, lambda: next(answers), fake_time.clock())
    assert next(answers, None) is None


def test_the_sidecar_has_no_more_than_its_time(fake_time: FakeTime) -> None:
    rows = wait_for_rows(victims()[:1], {IDS[0]: 1}, list, fake_time.clock())
    assert not rows[0].passed
    assert fake_time.seconds < 30


class Docker:
    """Stands in for the docker command: hands out the ids, and remembers what it was told."""

    def __init__(self, fails_at: int = -1) -> None:
        self.told: list[Sequence[str]] = []
        self._fails_at = fails_at

    def __call__(self, *words: str) -> str:
        self.told.append(words)
        runs = [one for one in self.told if one[0] == "run"]
        if words[0] == "run" and len(runs) == self._fails_at:
            raise SelftestError("docker run failed: no space left")
        return IDS[len(runs) - 1] if words[0] == "run" else ""


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Docker:
    made = Docker()
    monkeypatch.setattr(room, "_docker", made)
    return made


def test_victims_are_limited_marked_and_removed(docker: Docker) -> None:
    with pytest.raises(KeyError), started("image", "ab12"):
        raise KeyError
    run, removal = docker.told[0], docker.told[-1]
    assert run[4:6] == ("--label", "io.locust-kit.role=selftest")
    assert {"--memory", "--memory-swap", "--read-only", "none"} <= set(run)
    assert removal[:2] == ("rm", "--force")
    assert len(removal) == 3 + len(SHAPES)


def test_victims_are_removed_when_one_could_not_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Docker(fails_at=2)
    monkeypatch.setattr(room, "_docker", failing)
    with pytest.raises(SelftestError, match="no space left"), started("image", "ab12"):
        pass
    assert failing.told[-1][0] == "rm"


@pytest.fixture
def sidecar() -> Iterator[Callable[[Sequence[Incident]], SidecarReader]]:
    """A pretend sidecar that has recorded some incidents; it gives those of helpers only to whom asks for them."""
    servers: list[ThreadingHTTPServer] = []

    def serve(recorded: Sequence[Incident]) -> SidecarReader:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                shown = tuple(recorded) if query.get("helpers") == ["1"] else ()
                body = document.dumps(IncidentList("locust", NOW, shown, ()))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                del args

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        return SidecarReader(server.server_port)

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("counts", "code"), [((1, 3, 4), 0), ((1, 3, 2), 1)])
def test_the_exit_code_tells_whether_every_kill_was_seen(
    counts: tuple[int, ...],
    code: int,
    fake_engine: FakeEngine,
    engine: DockerEngine,
    say: Console,
    docker: Docker,
    fake_time: FakeTime,
    sidecar: Callable[[Sequence[Incident]], SidecarReader],
) -> None:
    killed(fake_engine)
    recorded = [kill(one, count, helper=True) for one, count in zip(IDS, counts, strict=True)]
    reader = sidecar(recorded)
    assert whole.selftest(engine, reader, say, fake_time.clock()) == code
    reader.close()
    assert docker.told[-1][0] == "rm"


def test_a_sidecar_that_does_not_answer_makes_no_result() -> None:
    with pytest.raises(SelftestError, match="the monitor returned no incidents"):
        whole.incidents(SidecarReader(1), NOW)


def test_the_program_is_python_that_compiles(tmp_path: Path) -> None:
    compile(PROGRAM, str(tmp_path), "exec")
