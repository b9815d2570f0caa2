"""What runs before Locust in its container."""

from pathlib import Path

import entrypoint
import pytest


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
    assert entrypoint.mirror(source, work) == 2
    assert (work / "data" / "users.csv").read_text() == "name\nann\n"
    (work / "data" / "failures.csv").write_text("mine")
    assert not (source / "data" / "failures.csv").exists()
    assert not (work / ".git").exists()


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
