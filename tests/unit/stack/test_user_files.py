"""Which files of LOCUSTFILES_DIR belong to a test."""

import os
from pathlib import Path

import pytest

from sidecar.stack import user_files


def made(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")


def found(folder: Path, *needed: str) -> list[str]:
    paths = user_files.walk(folder, [folder / name for name in needed]).paths
    return [path.relative_to(folder).as_posix() for path in paths if not path.name.startswith(".")]


# The pattern, what it leaves out, what it does not; as git does.
PATTERNS = [
    ("*.csv", ["a.csv", "x/a.csv"], ["a.csvx"]),
    ("/a.csv", ["a.csv"], ["x/a.csv"]),
    ("x/a.csv", ["x/a.csv"], ["y/x/a.csv"]),
    ("out/", ["out/a", "x/out/b"], ["x/y/out"]),
    ("**/out", ["out/a", "x/out"], ["output"]),
    ("x/**", ["x/a", "x/y/b"], ["z/x/a"]),
    ("a/**/b", ["a/b", "a/c/d/b"], ["a/bb"]),
    ("data?.bin", ["data1.bin"], ["data.bin", "data12.bin"]),
    ("[!a]x.txt", ["bx.txt"], ["ax.txt"]),
    ("[^a]x.txt", ["bx.txt"], ["ax.txt"]),
    ("[]a]b", ["]b", "ab"], ["bb"]),
    (r"[\]x]", ["]", "x"], ["\\"]),
    ("[[x]y", ["[y", "xy"], ["y"]),
    ("x[[:space:][:digit:]-]y", ["x y", "x1y", "x-y"], ["x:y", "xay"]),
    ("*.[z-a]\n*.log", ["a.log"], ["a.z", "a.a"]),
    ("d/x[!a]b", ["d/xcb"], ["d/x/b"]),
    ("*.log\n!keep.log", ["a.log"], ["keep.log"]),
    ("with space.txt", ["with space.txt"], ["withspace.txt"]),
    ("\\#odd", ["#odd"], ["odd"]),
    ("# a comment\n\n/", [], ["a", "# a comment"]),
]


@pytest.mark.parametrize(("pattern", "left_out", "kept"), PATTERNS)
def test_a_pattern_leaves_out_what_git_ignores(
    tmp_path: Path, pattern: str, left_out: list[str], kept: list[str]
) -> None:
    made(tmp_path, *left_out, *kept)
    (tmp_path / ".gitignore").write_text(f"{pattern}\n", encoding="utf-8-sig")
    assert found(tmp_path) == sorted(kept)


def test_the_ignore_files_of_the_repository_above_and_of_folders_below_count(tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "perf"
    made(folder, "locustfile.py", "a.tmp", "inner/b.dat", "inner/c.txt", "d.dat", "e.own")
    (tmp_path / "repository" / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("*\n")
    (tmp_path / "repository" / ".gitignore").write_text("*.tmp\n/perf/e.own\n")
    (folder / "inner" / ".gitignore").write_text("*.dat\n")
    assert found(folder) == ["d.dat", "inner/c.txt", "locustfile.py"]


def test_a_list_of_what_docker_takes_names_the_rest_and_what_the_test_needs_stays(tmp_path: Path) -> None:
    made(tmp_path, "locustfile.py", "lib/part.py", "src/a/b.csv", "src/c.log", "huge/x.bin")
    (tmp_path / ".dockerignore").write_text("*\n!src/**\n**/*.log\n")
    assert found(tmp_path, "locustfile.py", "lib/part.py") == ["lib/part.py", "locustfile.py", "src/a/b.csv"]


def test_a_walk_follows_no_link_and_ends_at_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "a/b/c.txt", "node_modules/x.js", "zz/last.txt")
    (tmp_path / "a" / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to("nowhere")
    assert found(tmp_path) == ["a/b/c.txt", "a/b/loop", "gone", "zz/last.txt"]
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(user_files, "MOST_FILES", 3)
    walked = user_files.walk(tmp_path)
    assert not walked.is_whole
    assert len(walked.paths) == 4
