"""What Locust reads unasked: refused with file and line where it breaks the stack, else the default of a setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.commands import up
from sidecar.common.errors import SettingError
from sidecar.settings import Settings, load, locust_options

Given = dict[str, str]


def settings(root: Path, files: Given, *args: str) -> Settings:
    """Return the settings of a checkout that holds these files; `tests` is the folder of locustfiles."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "tests").mkdir(exist_ok=True)
    return load(["LOCUSTFILES_DIR=./tests", *args], {}, root)


def refused(root: Path, files: Given) -> list[str]:
    """Return the lines of the refusal."""
    with pytest.raises(SettingError) as error:
        locust_options.refuse(settings(root, files).unasked)
    return error.value.line().splitlines()


@pytest.mark.parametrize(
    ("file", "text", "where"),
    [
        ("tests/locust.conf", "users = 50\nheadless = true\n", "locust.conf:2 headless"),
        ("tests/locust.conf", "autostart\nusers = 50\n", "locust.conf:1 autostart"),
        ("tests/locust.conf", "--headless: yes # note\nusers: 50\n", "locust.conf:1 --headless"),
        ("tests/locust.conf", "[general]\nusers 50\nheadl = true\n", "locust.conf:3 headl"),
        ("tests/pyproject.toml", "[tool.locust]\nusers = 50\nheadless = true\n", "pyproject.toml:3 headless"),
        ("tests/pyproject.toml", '[tool.locust]\nusers = "50"\n"autostart" = "1"\n', "pyproject.toml:3 autostart"),
        ("tests/pyproject.toml", "tool.locust.headless = true\ntool.locust.users = 50\n", "pyproject.toml headless"),
        (".env", "LOCUST_USERS=50\nLOCUST_HEADLESS=1\n", ".env:2 LOCUST_HEADLESS"),
        ("tests/.env", "LOCUST_USERS=50\nLOCUST_AUTOQUIT=3\n", "tests/.env:2 LOCUST_AUTOQUIT"),
    ],
)
def test_a_load_that_starts_by_itself_is_refused_with_the_run_to_use(
    file: str, text: str, where: str, tmp_path: Path
) -> None:
    (line,) = refused(tmp_path, {file: text})
    assert line.startswith(f"{where} starts a load by itself")
    assert line.endswith("→ make run USERS=50")


def test_each_refusal_is_a_line_with_its_own_setting(tmp_path: Path) -> None:
    conf = "master = true\nworker = 1\nexpect-workers = 3\nweb-port = 9000\nweb-host = 127.0.0.1\nlist = true\n"
    lines = refused(tmp_path, {"tests/locust.conf": conf})
    assert [line.split()[0] for line in lines] == [f"locust.conf:{n}" for n in range(1, 7)]
    assert [line.partition("→ ")[2] for line in lines] == [
        "make up",
        "make up WORKERS=4, or make join MASTER=... for the master of another machine",
        "make up WORKERS=3",
        "make up WEB_PORT=9000",
        "make up",
        "make try",
    ]


@pytest.mark.parametrize(
    "files",
    [
        {"tests/locust.conf": "headless = false\nautostart = off\nweb-host = *\nweb-port = 8089\nautoquit = -1\n"},
        {"tests/locust.conf": "users = 5\nhost = http://a\nloglevel = DEBUG\ncsv = out\nmaster-host = b\n"},
        {"tests/pyproject.toml": "[tool.other]\nheadless = true\n[project]\nname = 'headless'\n"},
        {".env": "LOCUST_MODE_MASTER=0\nLOCUST_VERSION=2.47\nLOCUST_MASTER=1\nLOCUST_HEADLESS=\nLOCUST_LIST=1\n"},
        {},
    ],
)
def test_what_harms_nothing_is_not_refused(files: Given, tmp_path: Path) -> None:
    locust_options.refuse(settings(tmp_path, files).unasked)


def test_users_rate_time_and_tags_are_the_defaults_of_their_settings_and_say_where_from(tmp_path: Path) -> None:
    conf = (
        "users = 500\nspawn-rate = 50\nrun-time = 1h30m\ntags = [read, pay]\nlocustfile = shop.py\nstop-timeout = 10s\n"
    )
    found = settings(tmp_path, {"tests/locust.conf": conf})
    assert (found.users, found.spawn_rate, found.run_time) == (500, 50.0, 5400)
    assert (found.tags, found.locustfile, found.stop_timeout) == (("read", "pay"), "shop.py", 10)
    assert found.given["USERS"].source == "locust.conf:1 users"
    assert not found.said_now("USERS")


@pytest.mark.parametrize("file", [".env", "tests/.env"])
def test_a_variable_in_an_env_file_is_filled_in_from_the_environment(file: str, tmp_path: Path) -> None:
    settings(tmp_path, {file: "LOCUST_USERS=${MANY}\nLOCUST_HEADLESS=${CI}\n"})
    environ = {"MANY": "40", "CI": "true"}
    found = load(["LOCUSTFILES_DIR=./tests"], environ, tmp_path)
    assert found.users == 40
    up.refuse_options(found, {"MANY": "40"})
    with pytest.raises(SettingError, match=r"\.env:2 LOCUST_HEADLESS starts a load by itself"):
        up.refuse_options(found, environ)


def test_the_nearer_source_wins_as_it_does_in_locust(tmp_path: Path) -> None:
    files = {
        "tests/locust.conf": "users = 1\n",
        "tests/pyproject.toml": "[tool.locust]\nusers = 2\n",
        ".env": "LOCUST_USERS=3\n",
        "tests/.env": "LOCUST_USERS=4\n",
    }
    found = settings(tmp_path, files)
    for users, name in zip((4, 3, 2, 1), reversed(files), strict=True):
        assert found.users == users
        (tmp_path / name).unlink()
        found = settings(tmp_path, {})
    assert found.users == 10


@pytest.mark.parametrize(("args", "users"), [(("USERS=7",), 7), (("USERS=",), 500), ((), 500)])
def test_the_command_line_comes_first_and_an_empty_word_asks_for_the_default(
    args: tuple[str, ...], users: int, tmp_path: Path
) -> None:
    assert settings(tmp_path, {"tests/locust.conf": "users = 500\n"}, *args).users == users


def test_a_setting_in_the_checkouts_env_comes_before_locusts_own_variable(tmp_path: Path) -> None:
    assert settings(tmp_path, {".env": "LOCUST_USERS=500\nUSERS=20\n"}).users == 20


def test_a_value_that_cannot_be_names_its_place(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"USERS is 'many' \(locust\.conf:1 users\)"):
        settings(tmp_path, {"tests/locust.conf": "users = many\n"})


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({"tests/locust.conf": "= 5\n"}, r"'= 5' is not an option of Locust \(locust\.conf:1\)"),
        ({"tests/pyproject.toml": "[tool\n"}, r"pyproject\.toml is not valid TOML"),
    ],
)
def test_a_file_that_locust_could_not_read_is_refused_at_up_and_not_at_down(
    files: Given, what: str, tmp_path: Path
) -> None:
    assert settings(tmp_path, files).users == 10
    with pytest.raises(SettingError, match=what):
        locust_options.read(tmp_path, tmp_path / "tests", {})


@pytest.mark.parametrize(("text", "number"), [("2", 2), ("-1", -1), ("0", 1), ("1", 1)])
def test_processes_are_counted(text: str, number: int, tmp_path: Path) -> None:
    assert locust_options.processes(settings(tmp_path, {".env": f"LOCUST_PROCESSES={text}\n"}).unasked) == number
    assert (
        locust_options.processes(settings(tmp_path, {"tests/locust.conf": f"processes = {text}\n"}).unasked) == number
    )


@pytest.mark.parametrize("text", ["two", "-2"])
def test_processes_that_locust_does_not_take_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=rf"LOCUST_PROCESSES is '{text}' \(\.env:1\); expected: .*-1"):
        locust_options.refuse(settings(tmp_path, {".env": f"LOCUST_PROCESSES={text}\n"}).unasked)


def test_options_of_files_reach_the_kit_as_variables(tmp_path: Path) -> None:
    found = settings(tmp_path, {"tests/locust.conf": "web-base-path = /x\nmaster = 0\n", ".env": "LOCUST_TLS_CERT=a\n"})
    assert locust_options.variables(found.unasked) == {
        "LOCUST_WEB_BASE_PATH": "/x",
        "LOCUST_MODE_MASTER": "0",
        "LOCUST_TLS_CERT": "a",
    }
