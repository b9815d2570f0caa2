"""What runs before Locust in its container."""

import codecs
import tomllib
from pathlib import Path

import entrypoint
import pytest

from sidecar.common.errors import SettingError
from sidecar.settings import locust_options


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    source, work = tmp_path / "mnt", tmp_path / "work"
    (source / "data").mkdir(parents=True)
    (source / "locustfile.py").write_text("x = 1\n")
    (source / "data" / "users.csv").write_text("name\nann\n")
    (source / ".git").mkdir()
    (source / ".git" / "config").write_text("")
    monkeypatch.setattr(entrypoint, "WORK", work)
    monkeypatch.setattr(entrypoint, "GENERATED", tmp_path / "generated")
    return source, work


def test_the_working_folder_reads_the_users_files_and_can_be_written_beside_them(folders: tuple[Path, Path]) -> None:
    source, work = folders
    assert entrypoint.mirror(source, work, "results") == []
    assert (work / "data" / "users.csv").is_symlink()
    assert not (work / "locustfile.py").is_symlink()
    assert (work / "data" / "users.csv").read_text() == "name\nann\n"
    (work / "data" / "failures.csv").write_text("mine")
    assert not (source / "data" / "failures.csv").exists()
    assert not (work / ".git").exists()


def test_a_link_is_made_anew_and_never_followed(folders: tuple[Path, Path]) -> None:
    source, work = folders
    for link, to in (("loop", "."), ("data/up", ".."), ("again.csv", "data/users.csv"), ("out", "../elsewhere")):
        (source / link).symlink_to(to)
    (source / "absolute").symlink_to(source / "data")
    assert entrypoint.mirror(source, work, "results") == []
    assert (work / "loop" / "data" / "up" / "again.csv").read_text() == "name\nann\n"
    (work / "loop" / "data" / "mine.csv").write_text("mine")
    assert (work / "data" / "mine.csv").read_text() == "mine"
    assert (work / "absolute" / "users.csv").is_file()
    assert sorted(path.name for path in work.iterdir()) == [
        *("absolute", "again.csv", "data", "locustfile.py", "loop", "out")
    ]


def test_of_too_many_files_a_whole_folder_becomes_a_link_so_that_none_is_missing(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, work = folders
    for folder in ("images/deep", "results/old", "zz_shared"):
        (source / folder).mkdir(parents=True)
        for number in range(8):
            (source / folder / f"{number}.py").write_text("")
    monkeypatch.setattr(entrypoint, "MOST_LINKS", 20)
    assert entrypoint.mirror(source, work, "results") == ["images/deep"]
    assert all((work / folder / "7.py").is_file() for folder in ("images/deep", "results/old", "zz_shared"))
    assert not (work / "results" / "old").is_symlink()


def test_results_can_be_written_in_a_folder_of_too_many_files(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, work = folders
    for folder in ("out", "other/out"):
        (source / folder).mkdir(parents=True)
        for number in range(8):
            (source / folder / str(number)).touch()
    monkeypatch.setattr(entrypoint, "MOST_LINKS", 8)
    assert entrypoint.mirror(source, work, "out/results") == ["other/out"]
    (work / "out" / "results").mkdir()
    assert (work / "out" / "7").is_file()


def test_modules_are_copies_up_to_a_bound_and_a_file_that_cannot_be_read_is_a_link(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, work = folders
    (source / "big.py").write_text("x" * 100)
    monkeypatch.setattr(entrypoint, "MOST_COPIED_BYTES", 50)
    entrypoint.mirror(source, work, "results")
    assert (work / "big.py").is_symlink()
    assert Path(work / "locustfile.py").resolve() == work / "locustfile.py"


def test_a_list_of_names_becomes_a_list_of_paths(folders: tuple[Path, Path]) -> None:
    _, work = folders
    assert entrypoint.locustfiles("a.py, b.py") == [str(work / "a.py"), str(work / "b.py")]


def test_a_package_is_loaded_as_one_and_a_plain_folder_by_locust_itself(folders: tuple[Path, Path]) -> None:
    _, work = folders
    (work / "shop").mkdir(parents=True)
    assert entrypoint.locustfiles("shop") == [str(work / "shop")]
    (work / "shop" / "__init__.py").write_text("")
    (loader,) = entrypoint.locustfiles("shop")
    assert Path(loader).name == "shop_package.py"
    compile(Path(loader).read_text(), loader, "exec")


@pytest.mark.usefixtures("folders")
def test_an_empty_locust_variable_is_dropped_and_an_empty_other_one_stays() -> None:
    result = entrypoint.settings({"LOCUST_MASTER_NODE_PORT": "", "MY_OWN": ""})
    assert "LOCUST_MASTER_NODE_PORT" not in result
    assert result["MY_OWN"] == ""


@pytest.mark.usefixtures("folders")
@pytest.mark.parametrize(
    ("given", "host"),
    [
        ({"KIT_HOST": "http://a", "HOST": "http://b", "LOCUST_HOST": "http://c"}, "http://a"),
        ({"HOST": "http://b", "LOCUST_HOST": "http://c"}, "http://b"),
        ({"HOST": "my-laptop", "LOCUST_HOST": "http://c"}, "http://c"),
        ({"HOST": "my-laptop"}, None),
    ],
)
def test_the_target_is_what_make_up_decided_then_the_env_file_and_never_a_machines_name(
    given: dict[str, str], host: str | None
) -> None:
    assert entrypoint.settings(given).get("LOCUST_HOST") == host


@pytest.mark.usefixtures("folders")
def test_classes_and_tags_take_the_form_that_locust_reads() -> None:
    result = entrypoint.settings({"KIT_CLASSES": "Buyer,Looker", "KIT_TAGS": "read, pay", "KIT_EXCLUDE_TAGS": "slow"})
    assert result["LOCUST_USER_CLASSES"] == "Buyer Looker"
    assert (result["LOCUST_TAGS"], result["LOCUST_EXCLUDE_TAGS"]) == ("[read,pay]", "[slow]")


@pytest.mark.usefixtures("folders")
def test_a_collector_switches_locusts_traces_on_and_what_the_user_says_of_them_stays() -> None:
    assert "LOCUST_ENABLE_OPENTELEMETRY" not in entrypoint.settings({"KIT_OTEL": ""})
    result = entrypoint.settings({"KIT_OTEL": "http://collector:4318", "OTEL_METRICS_EXPORTER": "otlp"})
    assert result["LOCUST_ENABLE_OPENTELEMETRY"] == "1"
    assert result["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
    assert result["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
    assert (result["OTEL_METRICS_EXPORTER"], result["OTEL_LOGS_EXPORTER"]) == ("otlp", "none")


CONF = """\
# headless = true
host = http://a
headless = true
master
--autost: yes
expect-workers 3
users = 5
master-host = b
"""
TOML = """
[project]
name = "shop"
headless = true

[tool.locust]
headless = true
"expect-workers" = 1
users = 50

[tool.other]
autostart = true
"""


def test_what_would_start_a_load_by_itself_is_taken_out_of_the_files_that_locust_reads() -> None:
    kept, dropped = entrypoint.without_options(CONF, (*entrypoint.UNASKED, *entrypoint.ROLES), is_toml=False)
    assert dropped == ["3 headless = true", "4 master", "5 --autost: yes", "6 expect-workers 3"]
    left = [line for line in kept.splitlines() if not line.startswith("#")]
    assert left == ["host = http://a", "users = 5", "master-host = b"]


def test_a_table_of_another_tool_stays_as_it_is() -> None:
    kept, dropped = entrypoint.without_options(TOML, entrypoint.UNASKED, is_toml=True)
    assert dropped == ["7 headless = true", '8 "expect-workers" = 1']
    before, after = tomllib.loads(TOML), tomllib.loads(kept)
    assert after["tool"]["locust"] == {"users": 50}
    assert (after["project"], after["tool"]["other"]) == (before["project"], before["tool"]["other"])


def test_the_users_own_file_stays_and_the_mirror_gets_another(folders: tuple[Path, Path]) -> None:
    source, work = folders
    (source / "locust.conf").write_text("headless = true\nusers = 5\n")
    entrypoint.mirror(source, work, "results")
    environ = {"LOCUST_MODE_MASTER": "1", "LOCUST_AUTOSTART": "true", "LOCUST_PROCESSES": "2", "LOCUST_HEADLESS": "0"}
    ignored = entrypoint.without_unasked(environ, work)
    assert ignored == ["LOCUST_AUTOSTART=true", "LOCUST_PROCESSES=2", "locust.conf:1 headless = true"]
    assert environ == {"LOCUST_MODE_MASTER": "1"}
    assert (source / "locust.conf").read_text() == "headless = true\nusers = 5\n"
    assert (work / "locust.conf").read_text() == "# headless = true\nusers = 5\n"


def test_a_byte_order_mark_is_no_part_of_an_options_name(folders: tuple[Path, Path]) -> None:
    source, work = folders
    for name, text in (("locust.conf", "users = 5\r\n"), ("pyproject.toml", "[tool.locust]\r\nusers = 5\r\n")):
        (source / name).write_bytes(codecs.BOM_UTF8 + text.encode())
    entrypoint.mirror(source, work, "results")
    assert entrypoint.without_unasked({"LOCUST_MODE_MASTER": "1"}, work) == []
    assert (work / "locust.conf").read_bytes() == b"users = 5\n"
    assert tomllib.loads((work / "pyproject.toml").read_text()) == {"tool": {"locust": {"users": 5}}}


OF_FILES = sorted(locust_options._WORDS.keys() - {"web-port", "web-host"})  # those move the page, and start nothing
OF_VARIABLES = sorted(set(OF_FILES) - {"master", "worker"} - locust_options._WITHOUT_VARIABLE)


@pytest.mark.parametrize("option", OF_FILES)
@pytest.mark.parametrize(("file", "line"), [("locust.conf", "{} = 7"), ("pyproject.toml", '[tool.locust]\n{} = "7"')])
def test_what_up_refuses_in_a_file_the_image_ignores(
    option: str, file: str, line: str, folders: tuple[Path, Path]
) -> None:
    _, work = folders
    work.mkdir()
    (work / file).write_text(line.format(option) + "\n")
    with pytest.raises(SettingError, match=f"{file}:. {option} "):
        locust_options.refuse(locust_options.read(work.parent, work, {}))
    assert len(entrypoint.without_unasked({"LOCUST_MODE_MASTER": "1"}, work)) == 1
    assert locust_options.read(work.parent, work, {}) == ()


@pytest.mark.parametrize("option", OF_VARIABLES)
@pytest.mark.parametrize("text", ["7", "true", *entrypoint.OFF, *map(str.upper, entrypoint.OFF)])
def test_what_up_refuses_of_a_variable_the_image_ignores(option: str, text: str, folders: tuple[Path, Path]) -> None:
    _, work = folders
    work.mkdir()
    variable = f"LOCUST_{option.upper().replace('-', '_')}"
    (work / ".env").write_text(f"{variable}={text}\n")
    options = locust_options.read(work.parent, work, {})
    environ = {variable: text}
    assert bool(entrypoint.without_unasked(environ, work)) is any(map(locust_options._is_refused, options))
    assert environ == {}


def test_processes_are_for_workers_alone(folders: tuple[Path, Path]) -> None:
    worker = entrypoint.settings({"LOCUST_MODE_WORKER": "1", "LOCUST_PROCESSES": "-1", "KIT_PROCESSES": "4"})
    assert worker["LOCUST_PROCESSES"] == "4"
    assert entrypoint.without_unasked(worker, folders[1]) == []
    assert worker["LOCUST_PROCESSES"] == "4"


def test_a_folder_that_cannot_be_read_leaves_the_working_folder_for_the_check_to_say_so(tmp_path: Path) -> None:
    assert entrypoint.mirror(tmp_path / "closed", tmp_path, "results") == []
    assert list(tmp_path.iterdir()) == []
