"""What a full disk keeps from being written waits, and is written once there is room."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gevent
import pytest
from locust_kit import disk, timeline, writer
from locust_kit.writer import Writer


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_RETRY_SECONDS", 0.01)


def test_rows_and_documents_wait_for_room_and_the_end_comes_last(tmp_path: Path) -> None:
    folder, errors = tmp_path / "run", list[OSError]()
    folder.write_text("in the way")  # of the folder: as if the volume were full
    made = Writer(folder, errors.append, frozenset({timeline.append}))
    made.document("run.json", {"number": 1})
    for second in range(3):
        made.append(timeline.append, [{"second": second}])
        made.wait(5)
    made.document("run.json", {"number": 2})
    made.document("end.json", {})
    made.wait(5)
    assert errors
    assert made.error == "File exists"
    folder.unlink()
    with gevent.Timeout(10):
        while made.error:
            gevent.sleep(0.01)
    assert [json.loads(line)["second"] for line in (folder / timeline.FILE).read_text().splitlines()] == [0, 1, 2]
    assert json.loads((folder / "run.json").read_text()) == {"number": 2}
    assert (folder / "end.json").stat().st_mtime_ns >= (folder / "run.json").stat().st_mtime_ns


def test_items_that_cannot_be_written_twice_are_left_out(tmp_path: Path) -> None:
    refused: list[Sequence[Any]] = []

    def refuse(_: Path, items: Sequence[Any]) -> None:
        refused.append(items)
        raise OSError(28, "No space left on device")

    made = Writer(tmp_path, lambda _: None)
    made.append(refuse, ["row"])
    made.document("end.json", {})
    made.wait(5)
    assert (refused, made.error, (tmp_path / "end.json").exists()) == ([["row"]], "", True)


def test_a_line_that_does_not_fit_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*arguments: Any, **more: Any) -> Any:
        file = open(*arguments, **more)  # noqa: PTH123, SIM115  as in the module
        whole = file.write

        class Half:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            fileno, truncate, written = file.fileno, file.truncate, 0

            def write(self, content: memoryview) -> int:
                if self.written:
                    raise OSError(28, "No space left on device")
                self.written = whole(content[: len(content) // 2])
                return int(self.written)

        return Half()

    (tmp_path / "rows").write_bytes(b"first\n")
    with monkeypatch.context() as full:
        full.setattr(disk, "open", opened, raising=False)
        with pytest.raises(OSError, match="No space left"):
            disk.append(tmp_path / "rows", b"second\n")
    assert (tmp_path / "rows").read_bytes() == b"first\n"
    disk.append(tmp_path / "rows", b"second\n")
    assert (tmp_path / "rows").read_bytes() == b"first\nsecond\n"
