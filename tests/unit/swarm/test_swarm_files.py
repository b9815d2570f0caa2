"""The locustfiles as one archive, and what a cluster is told."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from sidecar.common.errors import SettingError
from sidecar.settings import load
from sidecar.settings.addresses import engines, node, registry
from sidecar.stack import user_files
from sidecar.swarm import files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    (made / "data").mkdir(parents=True)
    (made / ".git").mkdir()
    (made / ".git" / "config").write_text("secret")
    (made / "locustfile.py").write_text("x = 1\n")
    (made / "data" / "users.csv").write_text("a,b\n")
    (made / "locustfile.pyc").write_text("")
    return made


def archived(folder: Path) -> bytes:
    return files.archive(folder, user_files.walk(folder).paths)


def test_the_same_files_make_the_same_bytes_whenever_they_were_written(folder: Path) -> None:
    first = archived(folder)
    os.utime(folder / "locustfile.py", (1, 1))
    assert archived(folder) == first
    (folder / "locustfile.py").write_text("x = 2\n")
    assert archived(folder) != first


def test_it_holds_what_a_locustfile_needs_and_nothing_else(folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archived(folder))) as packed:
        assert packed.getnames() == ["data/users.csv", "locustfile.py"]


def test_what_swarm_would_not_take_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    (folder / "large.bin").write_bytes(os.urandom(600 * 1024))
    settings = load([f"LOCUSTFILES_DIR={folder}"], {}, tmp_path)
    with pytest.raises(
        SettingError, match=r"LOCUSTFILES_DIR holds 6\d\d KiB \(compressed\); .*; expected: at most 500 KiB"
    ):
        files.pack(settings, ())


def test_a_folder_of_too_many_files_is_refused_for_that(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_files, "MOST_FILES", 3)
    for number in range(4):
        (folder / f"a{number}").symlink_to("/nowhere")
    with pytest.raises(SettingError, match=r"LOCUSTFILES_DIR holds more than 3 files"):
        files.pack(load([f"LOCUSTFILES_DIR={folder}"], {}, tmp_path), ())


def test_ignored_files_stay_behind_and_that_is_said_but_not_what_the_locustfile_needs(
    folder: Path, tmp_path: Path
) -> None:
    (folder / ".gitignore").write_text("data/\n*.pem\n/secrets.txt\ngenerated.py\n")
    (folder / ".dockerignore").write_text("!data\n*.log\n")
    for name in ("ca.pem", "other.pem", "secrets.txt", "generated.py", "run.log"):
        (folder / name).write_text("")
    settings = load([f"LOCUSTFILES_DIR={folder}", "TLS_CA=ca.pem"], {}, tmp_path)
    path, _, left_out = files.pack(settings, [folder / "locustfile.py", folder / "generated.py"])
    with tarfile.open(path) as packed:
        assert packed.getnames() == [
            *(".dockerignore", ".gitignore", "ca.pem", "data/users.csv", "generated.py", "locustfile.py")
        ]
    (note,) = left_out
    assert note == (
        "not copied to the nodes: other.pem, run.log, secrets.txt: "
        ".gitignore or .dockerignore excludes them → add !NAME to .dockerignore for files that the test needs"
    )


def test_a_link_stays_a_link_and_one_that_leads_out_is_said(folder: Path, tmp_path: Path) -> None:
    (folder / "loop").symlink_to(".")
    (folder / "data" / "again").symlink_to("../locustfile.py")
    (folder / "zz_shared").symlink_to("../shared")
    (tmp_path / "shared").mkdir()
    path, _, left_out = files.pack(load([f"LOCUSTFILES_DIR={folder}"], {}, tmp_path), ())
    with tarfile.open(path) as packed:
        links = {member.name: member.linkname for member in packed if member.issym()}
        packed.extractall(tmp_path / "node", filter="data")
    assert links == {"loop": ".", "data/again": "../locustfile.py"}
    assert (tmp_path / "node" / "loop" / "data" / "again").read_text() == "x = 1\n"
    assert left_out == ["not copied to the nodes: zz_shared: these links point outside LOCUSTFILES_DIR"]


@pytest.mark.parametrize(
    ("raw", "value"),
    [("registry.example:5000/load/", "registry.example:5000/load"), ("", ""), ("localhost:5000", "localhost:5000")],
)
def test_a_registry_is_a_host_with_its_path(raw: str, value: str) -> None:
    assert registry(raw) == value


@pytest.mark.parametrize("raw", ["https://registry.example", "Registry.example", "a b"])
def test_what_is_no_registry_is_refused(raw: str) -> None:
    with pytest.raises(ValueError, match="lower-case letters"):
        registry(raw)


def test_ways_to_nodes_are_contexts_or_urls() -> None:
    assert engines("ssh://me@a.example, second\tunix:///run/x.sock") == (
        "ssh://me@a.example",
        "second",
        "unix:///run/x.sock",
    )
    with pytest.raises(ValueError, match="not '-x'"):
        engines("-x")
    with pytest.raises(ValueError, match="docker node ls"):
        node("a b")
