"""Which of the user's files a process runs, and which of them changed since."""

import os
from pathlib import Path

import pytest
from locust_kit.loaded_files import Disk, combined, loaded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "locustfile.py").write_text("one = 1\n")
    (tmp_path / "flows" / "login.py").write_text("two = 2\n")
    return tmp_path


def test_only_files_below_the_users_folder_are_known(folder: Path) -> None:
    found = loaded([str(folder / "locustfile.py"), str(folder / "flows" / "login.py"), os.__file__, None], folder)
    assert list(found) == ["flows/login.py", "locustfile.py"]


def test_a_link_counts_as_the_file_it_leads_to(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("work") / "locustfile.py"
    link.symlink_to(folder / "locustfile.py")
    assert list(loaded([str(link)], folder)) == ["locustfile.py"]


def test_a_copy_in_the_working_folder_counts_as_the_users_file_by_its_own_bytes(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    work = tmp_path_factory.mktemp("work")
    (work / "flows").mkdir(parents=True)
    (work / "flows" / "login.py").write_text("two = 2\n")
    (work / "made_by_the_test.py").write_text("")
    files = [str(work / "flows" / "login.py"), str(work / "made_by_the_test.py")]
    before = loaded(files, folder, work)
    assert list(before) == ["flows/login.py"]
    assert Disk(before, folder).changed(before) == []
    (folder / "flows" / "login.py").write_text("two = 3\n")
    assert loaded(files, folder, work) == before
    assert Disk(before, folder).changed(before) == ["flows/login.py"]


def test_an_edit_is_a_change_and_a_touch_is_not(folder: Path) -> None:
    before = loaded([str(folder / "locustfile.py"), str(folder / "flows" / "login.py")], folder)
    disk = Disk(before, folder)
    os.utime(folder / "locustfile.py", (1, 1))
    assert disk.changed(before) == []
    (folder / "flows" / "login.py").write_text("two = 22\n")
    assert disk.changed(before) == ["flows/login.py"]


def test_a_file_that_is_gone_has_changed_and_back_again_has_not(folder: Path) -> None:
    before = loaded([str(folder / "locustfile.py")], folder)
    disk = Disk(before, folder)
    (folder / "locustfile.py").unlink()
    assert disk.changed(before) == ["locustfile.py"]
    (folder / "locustfile.py").write_text("one = 1\n")
    assert disk.changed(before) == []


def test_the_combined_digest_knows_names_as_well_as_bytes() -> None:
    assert combined({"a.py": "1", "b.py": "2"}) == combined({"b.py": "2", "a.py": "1"})
    assert combined({"a.py": "1"}) != combined({"b.py": "1"})
