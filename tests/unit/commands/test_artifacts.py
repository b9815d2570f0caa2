"""What the test wrote, out of the containers and into the report."""

from __future__ import annotations

import io
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.commands import artifacts
from sidecar.common.errors import EngineError
from sidecar.settings import Settings, load

BEGAN = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def packed(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if content == b"LINK":
                info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


class Engine:
    """Master, two workers, and what is no concern of a run; worker 2 was started anew."""

    def containers(self, project: str) -> tuple[Any, ...]:
        rows = [
            ("locust-master", "1"),
            ("locust-worker", "1"),
            ("locust-worker", "2"),
            ("monitor", "1"),
            ("locust-worker", "3"),
        ]
        return tuple(
            SimpleNamespace(
                id=f"{service}-{number}",
                name=f"{project}-{service}-{number}",
                project=project,
                service=service,
                state="exited" if number == "3" else "running",
                oneoff=False,
            )
            for service, number in rows
        )

    def inspect(self, container_id: str) -> dict[str, Any]:
        late = container_id == "locust-worker-2"
        return {"State": {"StartedAt": f"2026-01-01T1{2 if late else 1}:30:00Z"}}


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `docker` in the way that hands out what lies in the folder returned, by the container's id."""
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\ncat "{tmp_path}/$2" 2>/dev/null\n'
        f'exit "$(cat "{tmp_path}/code" 2>/dev/null || echo 0)"\n'
    )
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(artifacts, "connect", lambda _: Engine())
    return tmp_path


def settings(folder: Path, *words: str) -> Settings:
    return load(["PROJECT=e", *words], {}, folder)


def test_each_containers_files_come_into_a_folder_of_its_own(engine: Path, tmp_path: Path) -> None:
    (engine / "locust-master-1").write_bytes(packed({"./sum.txt": b"all"}))
    (engine / "locust-worker-1").write_bytes(
        packed({"./shots/a b.png": b"png", "../../out": b"x", "/etc/abs": b"x", "./link": b"LINK"})
    )
    into = tmp_path / "kept"
    said = artifacts.collect(settings(tmp_path), {}, BEGAN, into)
    assert sorted(str(path.relative_to(into)) for path in into.rglob("*") if path.is_file()) == [
        "left-out.txt",
        "locust-master-1/sum.txt",
        "locust-worker-1/shots/a b.png",
    ]
    assert said == (
        ["2 files of the test, 6B, in its artifacts/"],
        [
            "not in artifacts/: files of locust-worker-3: it is not running any more",
            "not in artifacts/: earlier files of locust-worker-2: it was restarted at 12:30:00 UTC",
        ],
    )
    assert "monitor" not in (engine / "calls").read_text()


def test_what_has_no_room_is_left_out_and_named_and_every_container_has_its_share(engine: Path, tmp_path: Path) -> None:
    large = b"x" * 400_000
    for number in (1, 2):
        (engine / f"locust-worker-{number}").write_bytes(packed({"s.csv": b"1", "a": large, "b": large, "c": large}))
    into = tmp_path / "kept"
    _, said = artifacts.collect(settings(tmp_path, "ARTIFACTS_MEGABYTES=1"), {}, BEGAN, into)
    there = sorted(str(path.relative_to(into)) for path in into.rglob("*") if path.parent != into and path.is_file())
    assert there == ["locust-worker-1/a", "locust-worker-1/s.csv", "locust-worker-2/a", "locust-worker-2/s.csv"]
    assert "locust-worker-1/b, 390.6KiB" in said[0]
    assert said[0].endswith("and 1 more: it is larger than the rest of ARTIFACTS_MEGABYTES")
    assert len((into / "left-out.txt").read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("length", "code", "why"),
    [
        (512 * 3 + 5000, 0, "the copy was interrupted"),  # within b
        (512 * 2, 137, "the copy ended with exit code 137"),  # between the two
        (512 * 3 + 5000, 124, "the copy took more than 60 s"),
    ],
)
def test_a_copy_that_breaks_off_leaves_no_half_file_and_is_named(
    engine: Path, tmp_path: Path, length: int, code: int, why: str
) -> None:
    (engine / "locust-worker-1").write_bytes(packed({"a": b"whole", "b": b"x" * 50_000})[:length])
    (engine / "code").write_text(str(code))
    into = tmp_path / "kept"
    came, left_out = artifacts.collect(settings(tmp_path), {}, BEGAN, into)
    assert [path.name for path in (into / "locust-worker-1").iterdir()] == ["a"]
    assert came == ["1 file of the test, 5B, in its artifacts/"]
    assert any("further files of locust-worker-1" in line and line.endswith(why) for line in left_out)
    assert f"further files of locust-worker-1: {why}\n" in (into / "left-out.txt").read_text()


@pytest.mark.parametrize(("fails_at", "line"), [("locust-worker-2", "no answer"), ("", "")])
def test_trouble_with_one_container_does_not_hide_what_came_before(
    engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: str, line: str
) -> None:
    def inspect(_: object, container_id: str) -> dict[str, Any] | None:
        if container_id == fails_at:
            raise EngineError("no answer")
        return None  # it went meanwhile

    monkeypatch.setattr(Engine, "inspect", inspect)
    (engine / "locust-worker-1").write_bytes(packed({"a": b"whole"}))
    came, left_out = artifacts.collect(settings(tmp_path), {}, BEGAN, tmp_path / "kept")
    assert came == ["1 file of the test, 5B, in its artifacts/"]
    trouble = [text for text in left_out if text.startswith("some files that the test wrote are not in the report")]
    assert trouble == [f"some files that the test wrote are not in the report: {line}"] * bool(line)


def pack(folder: Path, marks: str, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[bytes]:
    script = artifacts._PACK.replace("/home/locust/run", str(folder)).replace("/tmp/locust-kit", f"{folder}/{marks}")  # noqa: S108
    command = ["/bin/sh", "-c", script, "sh", "results"]
    return subprocess.run(command, capture_output=True, env={"PATH": path}, check=False)


@pytest.mark.parametrize("marks", ["marks", "no-such-folder"])
def test_a_second_name_of_a_file_is_taken_too(tmp_path: Path, marks: str) -> None:
    for name in ("results", "marks"):
        (tmp_path / name).mkdir()
    (tmp_path / "results" / "a").write_text("1")
    (tmp_path / "results" / "b").hardlink_to(tmp_path / "results" / "a")
    done = pack(tmp_path, marks)
    assert done.returncode == 0
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert sorted((member.name, member.isreg()) for member in tar) == [("./a", True), ("./b", True)]


@pytest.mark.parametrize(("code", "ends_with", "is_marked"), [(1, 0, True), (2, 2, False)])
def test_files_of_a_copy_that_failed_are_taken_the_next_time(
    tmp_path: Path, code: int, ends_with: int, *, is_marked: bool
) -> None:
    for name in ("results", "marks"):
        (tmp_path / name).mkdir()
    (tmp_path / "tar").write_text(f"#!/bin/sh\nexit {code}\n")
    (tmp_path / "tar").chmod(0o755)
    assert pack(tmp_path, "marks", f"{tmp_path}:/usr/bin:/bin").returncode == ends_with
    assert (tmp_path / "marks" / "artifacts-taken").exists() == is_marked


@pytest.mark.parametrize(("code", "lines"), [("open('results/x', 'w')", 2), ("x = 1", 0)])
@pytest.mark.usefixtures("engine")
def test_what_is_gone_is_said_of_a_test_that_names_the_folder(tmp_path: Path, code: str, lines: int) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "locustfile.py").write_text(code)
    came, left_out = artifacts.collect(settings(tmp_path, "LOCUSTFILES_DIR=files"), {}, BEGAN, tmp_path / "kept")
    assert (came, len(left_out)) == ([], lines)


def test_an_engine_that_does_not_answer_takes_no_report_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object, __: str) -> None:
        raise EngineError("no answer")

    monkeypatch.setattr(Engine, "containers", refuse)
    monkeypatch.setattr(artifacts, "connect", lambda _: Engine())
    said = artifacts.collect(settings(tmp_path), {}, BEGAN, tmp_path)
    assert said == ([], ["some files that the test wrote are not in the report: no answer"])
    assert artifacts.collect(settings(tmp_path, "ARTIFACTS_MEGABYTES=0"), {}, BEGAN, tmp_path) == ([], [])


@pytest.mark.parametrize("word", ["ARTIFACTS=/tmp/x", "ARTIFACTS=../x", "ARTIFACTS_MEGABYTES=-1"])
def test_only_a_folder_in_the_working_directory_and_a_bound_are_taken(tmp_path: Path, word: str) -> None:
    with pytest.raises(Exception, match=word.partition("=")[0]):
        settings(tmp_path, word)


def test_what_was_collected_becomes_a_folder_of_the_report_and_nothing_leaves_none(tmp_path: Path) -> None:
    for name in ("kept", "again", "report"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("")
    assert not artifacts.move(tmp_path / "nothing", tmp_path / "report", {})
    assert not artifacts.move(tmp_path / "again", Path("not saved: no room"), {})
    assert artifacts.move(tmp_path / "kept", tmp_path / "report", {})
    assert (tmp_path / "report" / "artifacts" / "x").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "report"]
