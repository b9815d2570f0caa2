from __future__ import annotations

import io
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecar.cli.verbs import VERBS, call
from sidecar.commands import up
from sidecar.common.errors import StackError
from sidecar.settings import dotenv, load
from sidecar.stack import compose
from sidecar.stack.compose import Compose, Decided
from tests.paths import ROOT

if TYPE_CHECKING:
    from sidecar.common.console import Console


def environment(*args: str, decided: Decided | None = None, **environ: str) -> dict[str, str]:
    return compose.environment(load(list(args), {}, Path("/checkout")), decided or Decided(), environ)


def test_compose_gets_every_value_and_the_callers_path() -> None:
    found = environment(
        "WORKER_MEMORY=2G",
        "CLASSES=A B",
        "TAGS=x,y",
        "WORKER_CPUS=1.5",
        "STOP_TIMEOUT=30",
        PATH="/bin",
        decided=Decided("http://t", mock=True, proxy_user="65534:9", inputs={"mock-target": "h"}),
    )
    wanted = {
        "PATH": "/bin",
        "PROJECT": "locust",
        "WEB_PORT": "8089",
        "MONITOR_PORT": "8090",
        "KIT_HOST": "http://t",
        "KIT_CLASSES": "A,B",
        "KIT_TAGS": "x,y",
        "WORKER_MEMORY": "2147483648",
        "WORKER_CPUS": "1.5",
        "COMPOSE_PROFILES": "mock",
        "DOCKER_PROXY_USER": "65534:9",
        "KIT_INPUTS_MOCK_TARGET": "h",
        "LOCUSTFILES_DIR": "/checkout/locustfiles",
        "STOP_TIMEOUT": "30",
        "STOP_GRACE_PERIOD": "50s",
    }
    assert {name: found[name] for name in wanted} == wanted


def test_the_inherited_environment_cannot_change_the_target_or_a_setting() -> None:
    found = environment(HOST="http://machine", WORKERS="99", MAKEFLAGS="x", COMPOSE_PROFILES="mock")
    assert "HOST" not in found
    assert "MAKEFLAGS" not in found
    assert (found["KIT_HOST"], found["COMPOSE_PROFILES"]) == ("", "")


def test_what_make_was_given_that_is_no_setting_reaches_compose_as_what_is_exported_does() -> None:
    given = {"DOCKER_HOST": "ssh://far", "PATH": "/opt/bin", "HTTPS_PROXY": "http://proxy", "TOKEN": "t"}
    environ = {**given, "WORKERS": "3", "MAKEFLAGS": " -- " + " ".join(f"{name}=x" for name in (*given, "WORKERS"))}
    found = compose.environment(load([], environ, Path("/checkout")), Decided(), environ)
    assert given.items() <= found.items()
    assert not {"WORKERS", "MAKEFLAGS"} & found.keys()


def test_every_variable_of_the_compose_files_is_given() -> None:
    hashes = dict.fromkeys(("locust", "monitor", "docker-proxy", "mock-target"), "h")
    given = environment(decided=Decided(inputs=hashes))
    for file in ("docker-compose.yml", *(f"docker/{name}" for _, name in compose._ADDED)):
        used = set(re.findall(r"(?<!\$)\$\{(\w+)", (ROOT / file).read_text()))
        assert used <= set(given), f"{file} uses what nobody gives"


def test_the_files_and_the_project_are_named_outright() -> None:
    plain = Compose(Path("/checkout"), "mine", {}).command("ps")
    assert plain[-5:] == ["-p", "mine", "-f", "/checkout/docker-compose.yml", "ps"]
    opened = Compose(Path("/checkout"), "mine", environment("REMOTE_WORKERS=10.0.0.5")).command("ps")
    assert opened[-3:] == ["-f", "/checkout/docker/remote-workers.yml", "ps"]
    elsewhere = environment(decided=Decided(master=("10.0.0.5", 5557)))
    assert Compose(Path("/checkout"), "mine", elsewhere).command("ps")[-2] == "/checkout/docker/join.yml"
    joined = Compose(Path("/checkout"), "mine", {"TARGET_NETWORK": "shop"}).command("ps")
    assert "/checkout/docker/target-network.yml" in joined


def test_the_master_joins_the_targets_network_only_if_both_settings_ask_for_it() -> None:
    def files(*words: str) -> set[str]:
        return {Path(word).name for word in Compose(Path("/checkout"), "mine", environment(*words)).command("ps")}

    added = "target-network-master.yml"
    assert added not in files("TARGET_NETWORK=shop")
    assert added not in files("TARGET_NETWORK_MASTER=1")
    assert {"target-network.yml", added} <= files("TARGET_NETWORK=shop", "TARGET_NETWORK_MASTER=1")


def test_who_may_join_and_whom_to_join_reach_compose() -> None:
    opened = environment("REMOTE_WORKERS=10.0.0.5", "REMOTE_ALLOW=10.0.0.7, 10.1.2.3/16")
    assert (opened["REMOTE_WORKERS"], opened["KIT_REMOTE_ALLOW"]) == ("10.0.0.5", "10.0.0.7 10.1.0.0/16")
    assert opened["KIT_MASTER_HOST"] == ""
    joined = environment("MASTER=10.9.9.9", decided=Decided(master=("2001:db8::5", 6557)))
    assert (joined["KIT_MASTER_HOST"], joined["KIT_MASTER_PORT"]) == ("2001:db8::5", "6557")
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}", joined["KIT_MACHINE"])


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            "OCI runtime create failed: error setting rlimit type 7: operation not permitted: unknown",
            "open-file limit NOFILE",
        ),
        ("Bind for 127.0.0.1:8089 failed: port is already allocated", "port 8089 is taken"),
        (
            "failed to listen on TCP socket: listen tcp4 127.0.0.1:8089: bind: address already in use",
            "port 8089 is taken",
        ),
        ("all predefined address pools have been fully subnetted", "no network address left"),
        ("write /var/lib/x: no space left on device", "the disk is full"),
        ("network shop declared as external, but could not be found", "TARGET_NETWORK shop does not exist"),
        ("docker: 'compose' is not a docker command.", "Docker Compose is missing"),
        ("docker: unknown command: docker compose\n\nRun 'docker --help'", "Docker Compose is missing"),
        (
            "Error response from daemon: Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
            "0.01 to 2.00",
        ),
        (
            "pulling\nError response from daemon: something new\n",
            "docker compose up failed: Error response from daemon: something new",
        ),
        ("", "docker compose up failed: no output"),
    ],
)
def test_a_failure_of_compose_is_told_in_one_line(output: str, line: str) -> None:
    told = compose.explain(output, "up").line()
    assert line in told
    assert "\n" not in told


def test_without_the_docker_command_setup_is_named() -> None:
    with pytest.raises(StackError, match=r"make setup"):
        Compose(Path("/"), "p", {"PATH": "/nowhere"}).run("ps")


def test_an_up_that_fails_half_way_leads_to_down_first(tmp_path: Path) -> None:
    error = compose.explain("error setting rlimit type 7: operation not permitted", "up")
    assert isinstance(error, StackError)
    told = up.half_up(error, load(["PROJECT=mine"], {}, tmp_path))
    assert told.what == error.what
    assert told.fix == f"make down PROJECT=mine, then {error.fix}"
    assert up.half_up(StackError("x"), load([], {}, tmp_path)).fix == "make down"


def test_a_failed_start_of_the_containers_names_down(tmp_path: Path, say: Console) -> None:
    settings = load(["WORKERS=1"], {}, tmp_path)
    absent = Compose(tmp_path, "p", {"PATH": "/nowhere"})
    with pytest.raises(StackError, match=r"docker command is not installed → make down, then run `make setup`"):
        up._start(settings, absent, (), Decided(), say)


@pytest.mark.parametrize(
    ("args", "note"),
    [
        ([], ""),
        (["WORKERS=8"], "limits add up to 18.0 GiB, but Docker has 16.0 GiB"),
        (
            ["WORKER_MEMORY=90T"],
            "WORKER_MEMORY is 92160.0 GiB, but Docker has 16.0 GiB, so this limit never takes effect",
        ),
        (["MASTER_MEMORY=17G"], "MASTER_MEMORY is 17.0 GiB"),
    ],
)
def test_limits_beyond_the_machine_are_said_and_not_refused(args: list[str], note: str, tmp_path: Path) -> None:
    told = up.memory_note(load(args, {}, tmp_path), 16 << 30)
    assert note in told
    assert bool(note) == bool(told)
    assert up.memory_note(load(args, {}, tmp_path), 0) == ""


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("\x1b[2Kworker-1  | ok\n", "worker-1  | ok\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x\x1b]8;;u\x1b\\y", "xy"),
        ("plain [2K", "plain [2K"),
        ("a\x1b]0;unended\u202e\x9b1m\tb\r\n", "a\\x1b]0;unended\\u202e\\x9b1m\tb\n"),
    ],
)
def test_escapes_of_a_terminal_are_taken_out(raw: str, text: str) -> None:
    assert compose.without_escapes(raw) == text


class Printer(Compose):
    """A Compose whose command is a small program of the test's own."""

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-c", *arguments]


def test_what_compose_prints_into_a_pipe_is_plain_and_its_exit_code_kept() -> None:
    out = io.StringIO()
    code = Printer(Path("/"), "p", {}).print_plain(r"print('\x1b[2Kw-1 | a\nw-2 | b'); raise SystemExit(3)", out=out)
    assert (code, out.getvalue()) == (3, "w-1 | a\nw-2 | b\n")


def test_a_reader_that_leaves_ends_the_command() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    endless = "import time\nprint('x', flush=True)\ntime.sleep(60)"
    began = time.monotonic()
    with pytest.raises(BrokenPipeError):
        Printer(Path("/"), "p", {}).print_plain(endless, out=Gone())
    assert time.monotonic() - began < 20


def test_logs_are_plain_also_on_a_terminal_and_never_timed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, ...]] = []

    def print_plain(_self: Compose, *words: str, out: object) -> int:
        assert out is sys.stdout
        called.append(words)
        return 0

    monkeypatch.setattr(Compose, "print_plain", print_plain)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert call(VERBS["logs"], ["PROJECT=no-such-stack", "SERVICE=worker"], {}) == 0
    (words,) = called
    assert "--timestamps" not in words
    assert words[-1] == "locust-worker"


@pytest.mark.parametrize(
    "value", ["plain", "a b", "it's", '"', "$HOME", "\\n", "a=b#c", "x 'y' \"z\" $A \\", "", "line\nline's"]
)
def test_a_value_written_for_compose_is_read_back_unchanged(value: str) -> None:
    (entry,) = dotenv.parse(compose.render_env_file({"LOCUST_X": value}), {})
    assert entry.value == value


def test_only_locusts_own_settings_leave_the_checkouts_env(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SECRET=1\nLOCUST_LOGLEVEL=DEBUG\nWORKERS=2\n")
    settings = load([], {}, tmp_path)
    compose.write_env_file(settings)
    path = compose.env_file_path(settings)
    assert path.read_text() == "LOCUST_LOGLEVEL='DEBUG'\n"
    assert path.stat().st_mode & 0o077 == 0
