from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from sidecar.commands import up
from sidecar.common.console import Console
from sidecar.common.errors import LocustfileError, SettingError, StackError
from sidecar.engine.docker_engine import DockerEngine
from sidecar.settings import Settings, load
from sidecar.stack import check, locustfile
from sidecar.stack.docker_command import csv_line
from tests.fakes.fake_engine import FakeEngine

FOLDER = Path("/home/my files")
MINE = load([f"LOCUSTFILES_DIR={FOLDER}"], {}, Path("/"))
RLIMIT = "error setting rlimits for ready process: error setting rlimit type 7: operation not permitted"


def settings(folder: Path, name: str = "locustfile.py") -> Settings:
    return load([f"LOCUSTFILES_DIR={folder}", f"LOCUSTFILE={name}"], {}, folder)


def refused(folder: Path, text: str) -> str:
    (folder / "locustfile.py").write_text(text)
    with pytest.raises(LocustfileError) as caught:
        locustfile.check(locustfile.sources(settings(folder)), folder)
    assert "\n" not in caught.value.line()
    return caught.value.line()


def accepted(folder: Path, text: str) -> None:
    (folder / "locustfile.py").write_text(text)
    locustfile.check(locustfile.sources(settings(folder)), folder)


def test_a_missing_file_is_answered_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "shop.py").touch()
    with pytest.raises(LocustfileError, match=r"locustfile shopp\.py.*one of shop\.py"):
        locustfile.sources(settings(tmp_path, "shopp.py"))


def test_a_name_without_its_ending_is_answered_with_it(tmp_path: Path) -> None:
    (tmp_path / "shop.py").touch()
    with pytest.raises(LocustfileError, match=r"make up LOCUSTFILE=shop\.py"):
        locustfile.sources(settings(tmp_path, "shop"))


def test_a_path_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(SettingError, match=r"outside LOCUSTFILES_DIR"):
        locustfile.sources(settings(tmp_path / "in", "../x.py"))


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"is not a folder"):
        locustfile.sources(settings(tmp_path / "none"))


def test_a_list_and_a_package_and_what_they_import_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import flows.login\nfrom helper import x\nimport json\n")
    (tmp_path / "helper.py").touch()
    (tmp_path / "unused.py").touch()
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").touch()
    (tmp_path / "flows" / "login.py").touch()
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "b.py").touch()
    found = {path.relative_to(tmp_path).as_posix() for path in locustfile.sources(settings(tmp_path, "a.py, pack"))}
    assert found == {"a.py", "helper.py", "flows/login.py", "pack/b.py"}


def test_a_syntax_error_names_file_line_and_text(tmp_path: Path) -> None:
    line = refused(tmp_path, "x = 1\ndef broken(:\n")
    assert "locustfile.py line 2" in line
    assert "def broken(:" in line


def test_a_syntax_error_in_an_imported_module_is_found(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("\n\nx = (\n")
    assert "helper.py line 3" in refused(tmp_path, "import helper\n")


@pytest.mark.parametrize(
    "text", ['x = f"{d["a"]}"\n', "type X = int\n", "def f[T](x: T) -> T: return x\n", "class C[T]: pass\n"]
)
def test_newer_syntax_than_the_hosts_python_is_left_to_the_image(tmp_path: Path, text: str) -> None:
    accepted(tmp_path, text)


def test_an_old_syntax_error_is_no_newer_syntax() -> None:
    error = SyntaxError("invalid syntax", ("f", 1, 1, "def f(:\n"))
    assert not locustfile.may_be_newer(error, (3, 11))
    newer = SyntaxError("expected '('", ("f", 1, 1, "def f[T](x): pass\n"))
    assert locustfile.may_be_newer(newer, (3, 11))
    assert not locustfile.may_be_newer(newer, (3, 13))


@pytest.mark.parametrize("event", ["request_success", "request_failure"])
@pytest.mark.parametrize(
    "use",
    [
        "events.{} += f",
        "events.{}.add_listener(f)",
        "@events.{}.add_listener\ndef g(**kw): pass",
        "locust.events.{}.fire()",
    ],
)
def test_a_removed_event_is_named_with_its_line_and_what_took_its_place(tmp_path: Path, event: str, use: str) -> None:
    line = refused(tmp_path, "import locust\nfrom locust import events\nf = print\n" + use.format(event) + "\n")
    assert f"events.{event}" in line
    assert "locustfile.py line 4" in line
    assert "events.request" in line
    assert "exception" in line


def test_adding_to_an_event_with_plus_is_answered(tmp_path: Path) -> None:
    line = refused(tmp_path, "from locust import events\nevents.test_start += print\n")
    assert "add_listener" in line


def test_old_class_names_are_answered(tmp_path: Path) -> None:
    assert "HttpUser" in refused(tmp_path, "from locust import HttpLocust, task\n")


def test_other_events_and_other_things_called_events_pass(tmp_path: Path) -> None:
    accepted(
        tmp_path,
        "from locust import events as ev\nfrom mine import events\n@ev.request.add_listener\ndef f(**kw): pass\n"
        "events.request_failure += 1\n",
    )


def test_a_passed_check_says_what_the_files_hold() -> None:
    found = check.read(
        {
            "passed": True,
            "shapes": ["Steps"],
            "user_classes": [{"name": "A", "host": "http://a"}, {"name": "B", "host": None}],
        },
        MINE,
    )
    assert found.user_classes == (check.UserClass("A", "http://a"), check.UserClass("B", None))
    assert found.shapes == ("Steps",)


def test_a_failed_check_names_file_line_and_mend() -> None:
    problem = {"file": "a.py", "line": 3, "kind": "import", "text": "no module x", "fix": "add x to requirements.txt"}
    with pytest.raises(LocustfileError) as caught:
        check.read({"passed": False, "problems": [problem, problem]}, MINE)
    assert caught.value.line() == "no module x (and 1 more) (a.py line 3) → add x to requirements.txt"


def test_the_checks_answer_is_found_behind_the_users_own_prints() -> None:
    assert check._last_json('hello\n{"a": 1}\n{"passed": true}\nbye\n') == {"passed": True}
    assert check._last_json("pulling\n") is None


@pytest.mark.parametrize(
    ("fix", "shown"),
    [
        ("chmod o+rx your LOCUSTFILES_DIR", "chmod o+rx '/home/my files'"),
        ("chmod o+r mine.py", "chmod o+r '/home/my files/mine.py'"),
    ],
)
def test_a_chmod_names_the_path_that_the_file_has_here(fix: str, shown: str) -> None:
    problem = {"file": "mine.py", "line": None, "kind": "unreadable", "text": "cannot be read", "fix": fix}
    with pytest.raises(LocustfileError) as caught:
        check.read({"passed": False, "problems": [problem]}, MINE)
    assert caught.value.fix == shown


@pytest.mark.parametrize(
    ("code", "output", "line"),
    [
        (125, f"docker: Error response from daemon: {RLIMIT}\n\nRun 'docker run --help' for more\n", "NOFILE"),
        (125, "docker: Error: no such image\n\nRun 'docker run --help'\n", "docker: Error: no such image"),
        (137, "", "killed (exit code 137), probably for lack of memory: WORKER_MEMORY is 64 MiB"),
        (3, "", "could not be checked: no answer (exit code 3)"),
        (1, "pulling\nbroken\n", "could not be checked: broken (exit code 1)"),
        (1, f"the user's own code: {RLIMIT}\n", f"could not be checked: the user's own code: {RLIMIT}"),
    ],
)
def test_a_check_without_an_answer_says_why(code: int, output: str, line: str, tmp_path: Path) -> None:
    told = check.failure(code, output, load(["WORKER_MEMORY=64m"], {}, tmp_path)).line()
    assert line in told
    assert "\n" not in told


def test_the_check_runs_under_a_workers_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 125, "", f"docker: Error response from daemon: {RLIMIT}")

    monkeypatch.setattr("sidecar.stack.docker_command.subprocess.run", run)
    wanted = load([f"LOCUSTFILES_DIR={tmp_path}", "NOFILE=2077", "WORKER_MEMORY=64m", "WORKER_CPUS=1.5"], {}, tmp_path)
    with pytest.raises(StackError, match=r"refuses the open-file limit NOFILE"):
        check.check(wanted, "image", "id", {})
    told = " ".join(commands[0])
    for flag in ("--ulimit nofile=2077:2077", "--memory 67108864", "--memory-swap 67108864", "--cpus 1.5"):
        assert flag in told
    assert "--cpus" not in check.limits(settings(tmp_path))


@pytest.mark.parametrize(
    ("limit", "line"),
    [
        ("WORKER_MEMORY=64m", "WORKER_MEMORY is 64 MiB → make up WORKER_MEMORY=2G"),
        ("WORKER_CPUS=0.1", "WORKER_CPUS is 0.1 → make up WORKER_CPUS=1"),
        ("WORKERS=1", "took more than 60 s → move slow work"),
    ],
)
def test_a_check_that_does_not_end_is_ended_and_says_why(
    limit: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        raise subprocess.TimeoutExpired(command, 60)

    monkeypatch.setattr("sidecar.stack.docker_command.subprocess.run", run)
    with pytest.raises(LocustfileError) as caught:
        check.check(load([f"LOCUSTFILES_DIR={tmp_path}", limit], {}, tmp_path), "image", "id", {})
    assert line in caught.value.line()
    name = commands[0][commands[0].index("--name") + 1]
    assert commands[1] == ["docker", "rm", "--force", name]


@pytest.mark.parametrize("change", ["NOFILE=2000", "WORKER_MEMORY=1G", "WORKER_CPUS=1", "TARGET_NETWORK=x", "MOCK=1"])
def test_other_limits_and_networks_are_checked_anew(change: str, tmp_path: Path) -> None:
    words = [f"LOCUSTFILES_DIR={tmp_path}"]
    before = check.fingerprint(load(words, {}, tmp_path), "id", {})
    assert check.fingerprint(load([*words, change], {}, tmp_path), "id", {}) != before


def test_the_check_is_in_the_networks_of_the_workers_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Console, fake_engine: FakeEngine, engine: DockerEngine
) -> None:
    (tmp_path / "locustfile.py").write_text("x = 1\n")
    asked: list[list[str]] = []
    answer = json.dumps({"passed": True, "user_classes": [{"name": "A", "host": None}]})

    def docker(*words: str, **_: object) -> subprocess.CompletedProcess[str]:
        asked.append([word for word in words if word.startswith("--network")])
        return subprocess.CompletedProcess(words, 0, answer, "")

    monkeypatch.setattr(check, "docker", docker)
    fake_engine.answers["/images/image/json"] = {"Id": "sha256:1"}
    fake_engine.answers["/networks/mine_default"] = {"Scope": "local"}
    fake_engine.answers["/networks/shop"] = {"Scope": "swarm", "Attachable": True}
    fake_engine.answers["/networks/closed"] = {"Scope": "swarm", "Attachable": False}
    for network in ("shop", "closed", "gone", ""):
        words = [f"LOCUSTFILES_DIR={tmp_path}", "PROJECT=mine", f"TARGET_NETWORK={network}"]
        up.check_in_image(load(words, {}, tmp_path), engine, "image", say)
    ours = "--network=mine_default"
    assert asked == [[ours, "--network=shop"], [ours], [ours], [ours]]


def test_a_check_is_not_done_again_for_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locustfile.py").write_text("x = 1\n")
    asked: list[str] = []

    def ask(_settings: Settings, image: str, _env: object, _networks: object) -> dict[str, object]:
        asked.append(image)
        return {"passed": True, "user_classes": [{"name": "A", "host": None}]}

    monkeypatch.setattr(check, "_ask", ask)
    one = settings(tmp_path)
    assert [check.check(one, "image", "id1", {})[1] for _ in range(3)] == [False, True, True]
    assert not check.check(one, "image", "id2", {})[1], "another image"
    (tmp_path / "data.csv").write_text("1\n")
    assert not check.check(one, "image", "id2", {})[1], "another file beside it"
    (tmp_path / "locustfile.py").write_text("y = 1\n")
    assert not check.check(one, "image", "id2", {})[1], "another locustfile"
    assert not check.check(one, "image", "id2", {"A": "1"})[1], "another .env"


def test_an_edit_that_keeps_size_and_time_is_still_another_file(tmp_path: Path) -> None:
    path = tmp_path / "locustfile.py"
    path.write_text("x = 1\n")
    before = check.fingerprint(settings(tmp_path), "id", {})
    about = path.stat()
    path.write_text("x = 2\n")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert check.fingerprint(settings(tmp_path), "id", {}) != before


@pytest.mark.parametrize("ignore_file", [".gitignore", ".dockerignore"])
def test_a_file_that_git_or_docker_ignores_is_checked_again(ignore_file: str, tmp_path: Path) -> None:
    written(tmp_path, {"locustfile.py": "x = 1\n", ignore_file: "env.local.json\n", "env.local.json": '{"host": 1}'})
    before = check.fingerprint(settings(tmp_path), "id", {})
    (tmp_path / "env.local.json").write_text('{"host": "other"}')
    assert check.fingerprint(settings(tmp_path), "id", {}) != before


def test_a_warning_of_the_check_is_one_line_and_survives_being_remembered() -> None:
    row = {"file": "a.py", "line": 3, "kind": "catch-response", "text": "never reported", "fix": "with ... as answer:"}
    checked = check.read({"passed": True, "user_classes": [], "warnings": [row]}, MINE)
    assert [warning.shown for warning in checked.warnings] == [
        "warning: a.py line 3: never reported → with ... as answer:"
    ]
    assert check.code_warnings(asdict(checked)) == checked.warnings
    assert check.code_warnings({}) == ()


def written(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


TWO = {
    "a/locustfile.py": "import helpers\n",
    "a/helpers.py": "A = 1\n",
    "b/locustfile.py": "from helpers import B\n",
    "b/helpers.py": "B = 1\n",
}


@pytest.mark.parametrize(
    ("files", "names", "said"),
    [
        (TWO, "a/locustfile.py,b/locustfile.py", ("b/helpers.py", "a/helpers.py")),
        (TWO, "a,b", ("b/helpers.py", "a/helpers.py")),
        (
            {**TWO, "b/locustfile.py": "from lib.b import x\n", "b/lib/b.py": "", "a/lib/b.py": "1\n"}
            | {"a/locustfile.py": "import lib.b\n"},
            "a/locustfile.py, b/locustfile.py",
            ("b/lib/b.py", "a/lib/b.py"),
        ),
        (
            {"x.py": "import helpers\n", "helpers.py": "C = 1\n", "b/y.py": "import helpers\n", "b/helpers.py": ""},
            "x.py,b/y.py",
            ("b/helpers.py", "helpers.py"),
        ),
        (
            {**TWO, "a/locustfile.py": "import flow\n", "a/flow.py": "import helpers\n"},
            "a/locustfile.py,b/locustfile.py",
            ("b/helpers.py", "a/helpers.py"),
        ),
    ],
)
def test_two_modules_of_one_name_are_refused_with_both_paths(
    tmp_path: Path, files: dict[str, str], names: str, said: tuple[str, ...]
) -> None:
    written(tmp_path, files)
    with pytest.raises(LocustfileError) as caught:
        locustfile.sources(settings(tmp_path, names))
    assert all(path in caught.value.line() for path in said)
    assert "rename one of the two" in caught.value.line()


def test_two_copies_of_a_module_do_no_harm_nor_does_a_package_with_modules_of_such_names(tmp_path: Path) -> None:
    written(tmp_path, {**TWO, "b/helpers.py": TWO["a/helpers.py"]})
    assert len(locustfile.sources(settings(tmp_path, "a/locustfile.py,b/locustfile.py"))) == 4
    package = {"p/__init__.py": "", "p/a/x.py": "from . import names\n", "p/a/names.py": "1\n", "p/names.py": "2\n"}
    written(tmp_path, {**package, "p/y.py": "from .names import z\n"})
    assert len(locustfile.sources(settings(tmp_path, "p"))) == 5


@pytest.mark.parametrize("up", [1, 2, 3])
@pytest.mark.parametrize("helper", ["helpers.py", "helpers/part.py"])
def test_a_helper_above_the_mounted_folder_is_found_and_the_words_to_type_are_said(
    tmp_path: Path, up: int, helper: str
) -> None:
    folder = tmp_path.joinpath(*["it's here", "perf", "load"][:up])
    written(tmp_path, {helper: ""})
    written(folder, {"locustfile.py": "import helpers\n", "requirements.txt": ""})
    said = locustfile.elsewhere("helpers", settings(folder))
    assert said.startswith(f"make up LOCUSTFILES_DIR={tmp_path} ")
    assert "locustfile.py" in said
    assert "after you move requirements.txt there" in said
    assert locustfile.elsewhere("nothing_of_the_kind", settings(folder)) == ""


def test_a_file_above_the_mounted_folder_is_found_by_the_path_that_it_had_in_the_container(tmp_path: Path) -> None:
    folder = tmp_path / "perf" / "load"
    written(tmp_path, {"data/users.csv": "", "perf/load/locustfile.py": ""})
    by_file = locustfile.elsewhere("/home/data/users.csv", settings(folder))
    assert by_file == (
        f"make up LOCUSTFILES_DIR={tmp_path} LOCUSTFILE=perf/load/locustfile.py (it has {tmp_path}/data/users.csv)"
    )
    assert "relative to __file__" in locustfile.elsewhere("../../data/users.csv", settings(folder))
    assert locustfile.elsewhere("../../data/others.csv", settings(folder)) == ""


def test_a_link_that_leads_out_of_the_mounted_folder_is_followed_to_the_module(tmp_path: Path) -> None:
    folder = tmp_path / "load"
    written(tmp_path, {"shared/part.py": "", "load/locustfile.py": ""})
    (folder / "zz_shared").symlink_to("../shared")
    assert "LOCUSTFILE=load/locustfile.py" in locustfile.elsewhere("zz_shared", settings(folder))


def test_a_comma_in_the_name_of_a_locustfile_is_refused(tmp_path: Path) -> None:
    written(tmp_path, {"buy,pay.py": ""})
    with pytest.raises(SettingError, match=r"the comma in .buy,pay\.py. ends a file name"):
        locustfile.sources(settings(tmp_path, "buy,pay.py"))


def test_a_folder_with_a_comma_or_a_quote_is_one_field_of_the_mount() -> None:
    assert csv_line("type=bind", 'source=/a,b"c', "readonly") == 'type=bind,"source=/a,b""c",readonly'
    assert csv_line("type=bind", "source=/a b:c", "readonly") == "type=bind,source=/a b:c,readonly"
