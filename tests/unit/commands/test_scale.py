"""`scale` changes the number of workers, and makes none of another kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sidecar.commands import restart
from sidecar.common.errors import KitError, SettingError
from sidecar.settings import load
from sidecar.stack import state, workspace

if TYPE_CHECKING:
    from pathlib import Path

    from sidecar.common.console import Console

NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


def error(root: Path, say: Console, *words: str, **environ: str) -> KitError:
    up = load(["PROJECT=p", "WORKER_MEMORY=2G", "TAGS=a b"], {}, root)
    state.write(state.path_of(root, "p"), {"choices": state.choices(up), "decided": {"host": "http://shop"}})
    environ |= NO_DOCKER
    settings = workspace.settings_after_up(["PROJECT=p", *words], environ, root)
    with pytest.raises(KitError) as caught:
        restart.scale(settings, environ, say)
    return caught.value


def test_a_setting_that_only_the_new_workers_would_have_is_refused_before_anything_is_done(
    tmp_path: Path, say: Console
) -> None:
    refused = error(tmp_path, say, "WORKERS=8", "WORKER_MEMORY=4G", "PROXY=http://proxy:1")
    assert isinstance(refused, SettingError)
    assert refused.line() == (
        "WORKER_MEMORY, PROXY: scale changes only the number of workers → make up PROJECT=p WORKERS=8 "
        "WORKER_MEMORY=... PROXY=..."
    )
    assert error(tmp_path, say, "WORKERS=8", "TAGS=").line().startswith("TAGS: scale changes only the number")
    assert error(tmp_path, say, "WORKERS=8", NOFILE="20000").line().startswith("NOFILE: scale changes only the number")


@pytest.mark.parametrize(
    "words",
    [
        ("WORKERS=8", "YES=1", "WEB_PORT=8189", "MONITOR_PORT=8190"),
        ("WORKERS=8", "WORKER_MEMORY=2048M", "TAGS=a,b", "NOFILE=10000"),
        ("WORKERS=8", "PUSH_KEY=new", "HOST=http://shop"),
    ],
)
def test_what_is_as_up_was_told_or_goes_to_no_worker_is_not_refused(
    words: tuple[str, ...], tmp_path: Path, say: Console
) -> None:
    assert not isinstance(error(tmp_path, say, *words), SettingError)
