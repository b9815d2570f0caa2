"""A file beside the locustfile that a test writes to."""

import errno
import io
import os
import sqlite3
from pathlib import Path
from typing import Any

import locust_kit_copy_on_write as copy_on_write
import pytest


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with links to a mounted one; opening goes the way of the image."""
    mounted, work = tmp_path / "mounted", tmp_path / "work"
    mounted.mkdir()
    work.mkdir()
    (mounted / "results.csv").write_text("old\n")
    (work / "results.csv").symlink_to(mounted / "results.csv")
    (work / "other").symlink_to("/dev/null")
    monkeypatch.setattr(copy_on_write, "USER_FILES", f"{mounted}/")
    monkeypatch.setattr(io, "open", copy_on_write.opened)
    monkeypatch.setattr(os, "open", copy_on_write.os_opened)
    monkeypatch.setattr("builtins.open", copy_on_write.opened)
    monkeypatch.chdir(work)
    return work


def append(name: Path) -> None:
    with name.open("a") as file:
        file.write("new\n")


def empty_first(name: Path) -> None:
    name.write_text("new\n")


def in_place(name: Path) -> None:
    with name.open("r+") as file:
        file.seek(0, io.SEEK_END)
        file.write("new\n")


def by_number(name: Path) -> None:
    number = os.open(name, os.O_WRONLY | os.O_APPEND)
    os.write(number, b"new\n")
    os.close(number)


@pytest.mark.parametrize(
    ("write", "then"),
    [(append, "old\nnew\n"), (empty_first, "new\n"), (in_place, "old\nnew\n"), (by_number, "old\nnew\n")],
)
def test_a_file_that_is_written_becomes_a_copy_and_the_users_own_stays(work: Path, write: object, then: str) -> None:
    write(Path("results.csv"))  # type: ignore[operator]
    assert Path("results.csv").read_text() == then
    assert not Path("results.csv").is_symlink()
    assert (work.parent / "mounted" / "results.csv").read_text() == "old\n"
    assert sorted(path.name for path in work.iterdir()) == ["other", "results.csv"]


def test_a_copy_that_another_process_made_meanwhile_stays(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.path.realpath

    def realpath(path: Path) -> str:
        real = original(path)
        Path("theirs").write_text("theirs\n")
        Path("theirs").replace("results.csv")
        return real

    monkeypatch.setattr(os.path, "realpath", realpath)
    append(work / "results.csv")
    assert Path("results.csv").read_text() == "theirs\nnew\n"


def test_processes_that_write_at_once_lose_no_line(work: Path) -> None:
    children = []
    for _ in range(4):
        if not (child := os.fork()):
            append(work / "results.csv")
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert (work / "results.csv").read_text() == "old\n" + 4 * "new\n"
    assert sorted(path.name for path in work.iterdir()) == ["other", "results.csv"]


def test_a_copy_that_fails_leaves_nothing_behind_and_takes_nothing_of_others(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full: Any = copy_on_write._open

    def opened(path: object, mode: str) -> object:
        if mode == "rb":
            raise OSError(errno.ENOSPC, "No space left on device")
        return full(path, mode)

    monkeypatch.setattr(copy_on_write, "_open", opened)
    copy_on_write.own("results.csv")
    assert sorted(path.name for path in work.iterdir()) == ["other", "results.csv"]
    others = work / f"results.csv.copy-{os.getpid()}"
    others.touch()
    copy_on_write.own("results.csv")
    assert (Path("results.csv").is_symlink(), others.exists()) == (True, True)


@pytest.mark.parametrize("mode", ["w", "a"])
def test_a_link_to_a_folder_stays(work: Path, mode: str) -> None:
    (work.parent / "mounted" / "data").mkdir()
    (work / "data").symlink_to(work.parent / "mounted" / "data")
    with pytest.raises(IsADirectoryError):
        open("data", mode)  # noqa: PTH123, SIM115  it is never opened
    assert (work / "data").is_symlink()
    assert sorted(path.name for path in work.iterdir()) == ["data", "other", "results.csv"]


def test_a_file_that_is_read_stays_a_link_and_any_other_is_opened_as_ever(work: Path) -> None:
    assert Path("results.csv").read_text() == "old\n"
    assert Path("results.csv").is_symlink()
    with pytest.raises(FileExistsError):
        Path("results.csv").open("x")  # noqa: SIM115  it is never opened
    with pytest.raises(FileNotFoundError):
        Path("nothing/there").write_text("x")
    with pytest.raises(TypeError):
        copy_on_write.opened(None, "w")  # type: ignore[no-untyped-call]
    Path("other").write_text("x")
    assert Path("other").is_symlink()
    with os.fdopen(os.open("made.txt", os.O_CREAT | os.O_WRONLY), "w") as file:
        file.write("by number")
    assert (work / "made.txt").read_text() == "by number"
    sqlite3.connect("new.db").close()
