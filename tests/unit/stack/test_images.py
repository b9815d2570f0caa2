from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sidecar.common.errors import StackError
from sidecar.stack import images
from sidecar.stack.images import IMAGES, Image
from tests.paths import ROOT

if TYPE_CHECKING:
    import io

    from sidecar.common.console import Console
    from sidecar.engine.docker_engine import DockerEngine
    from tests.fakes.fake_engine import FakeEngine

IMAGE = Image("one", "one", ("docker/one", "shared"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("docker/one/Dockerfile", "shared/a.py", "other/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_a_hash_changes_with_every_input_and_nothing_else(root: Path) -> None:
    def now(base: str = "base") -> str:
        return images.inputs_hash(root, IMAGE, base)

    first = now()
    (root / "other/b.py").write_text("changed")
    (root / "shared/__pycache__").mkdir()
    (root / "shared/__pycache__/a.pyc").write_text("x")
    assert now() == first
    seen = {first, now("another base")}
    (root / "shared/a.py").write_text("changed")
    seen.add(now())
    (root / "shared/a.py").chmod(0o755)
    seen.add(now())
    (root / "shared/a.py").rename(root / "shared/c.py")
    seen.add(now())
    (root / "shared/new").touch()
    seen.add(now())
    assert len(seen) == 6


def test_only_missing_and_changed_images_are_stale(fake_engine: FakeEngine, engine: DockerEngine) -> None:
    hashes = dict.fromkeys(IMAGES, "now")
    fake_engine.answers["/images/locust-kit/locust:local/json"] = {"Config": {"Labels": {images.LABEL: "now"}}}
    fake_engine.answers["/images/locust-kit/monitor:local/json"] = {"Config": {"Labels": {images.LABEL: "before"}}}
    fake_engine.answers["/images/locust-kit/mock-target:local/json"] = {"Config": {"Labels": None}}
    assert [one.key for one in images.stale(engine, hashes, list(IMAGES))] == ["monitor", "docker-proxy", "mock-target"]
    assert [one.key for one in images.stale(engine, hashes, ["locust"])] == []


def test_every_input_of_every_image_is_there() -> None:
    for image in IMAGES.values():
        for source in image.sources:
            assert (ROOT / source).is_dir(), f"{image.key}: {source}"


def failed_build(log_text: str, tmp_path: Path, say: Console) -> str:
    log = tmp_path / "build.log"
    with pytest.raises(StackError) as caught:
        images._run_build(
            ["sh", "-c", 'printf "%s" "$LOG_TEXT"; exit 1'], {"PATH": "/usr/bin:/bin", "LOG_TEXT": log_text}, log, say
        )
    return caught.value.line()


def test_a_failed_build_shows_its_end_and_where_the_rest_is(tmp_path: Path, say: Console, out: io.StringIO) -> None:
    line = failed_build("\n".join(f"line {n}" for n in range(50)), tmp_path, say)
    assert "line 49" in out.getvalue()
    assert "line 30" not in out.getvalue()
    assert str(tmp_path / "build.log") in line


def test_a_failed_build_of_known_cause_is_one_line(tmp_path: Path, say: Console) -> None:
    assert failed_build("write /x: no space left on device\n", tmp_path, say).startswith("the disk is full")


def test_a_failed_step_shows_its_own_words_only(tmp_path: Path, say: Console, out: io.StringIO) -> None:
    log = """#8 [pip 1/2] RUN apt-install
#8 0.5 from apt
#9 [stage-1 2/2] RUN pip-add
#9 1.2 Collecting nothing==9
#9 1.4 ERROR: No matching distribution found for nothing==9
#9 ERROR: process "/bin/sh -c sh /kit-build/pip-add" did not complete successfully: exit code: 1
------
 > [stage-1 2/2] RUN pip-add:
------
requirements.Dockerfile:15
"""
    failed_build(log, tmp_path, say)
    shown = out.getvalue().split("\n")
    assert [line.strip() for line in shown if line] == [
        "Collecting nothing==9",
        "ERROR: No matching distribution found for nothing==9",
    ]
