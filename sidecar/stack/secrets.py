"""The secrets of a stack, as files that docker-compose.yml mounts, because `docker inspect` shows an environment.

Other users of this machine cannot open the folder. The files in it are readable for all: the container's own user,
unknown on this machine, reads them through the mount, which checks only the file's own mode.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sidecar.common import atomic
from sidecar.settings import SETTINGS, Destination, Settings

_OF_A_CLUSTER = ("CLUSTER_TOKEN", "NOTHING")


def names(destination: Destination | None = None) -> list[str]:
    """Return the names of the settings that are secrets of a container; with a destination, only the ones for it."""
    return [
        name
        for name, setting in SETTINGS.items()
        if setting.secret and setting.to and (destination is None or destination in setting.to)
    ]


def write(settings: Settings) -> None:
    """Write the secrets of this call to the containers' files. Remove the files of other secrets."""
    for name in names():
        path, value = path_of(settings, name), getattr(settings, name.lower())
        text = value if isinstance(value, str) else "\n".join(i if isinstance(i, str) else "=".join(i) for i in value)
        if not text:
            path.unlink(missing_ok=True)
        elif read(settings, name) != text:
            replace(path, text)


def forget(settings: Settings) -> None:
    """Remove all secrets."""
    for name in (*names(), *_OF_A_CLUSTER):
        path_of(settings, name).unlink(missing_ok=True)


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables of docker-compose.yml: the path of each secret, and marks that change with the secrets.

    A mark is in a container's environment, so that Compose recreates the container for a new secret. The master has its
    own mark, so that a new alert URL does not end a run.
    """
    paths = {name: path_of(settings, name) for name in names()}
    return {
        **{f"KIT_{name}_FILE": str(path) if path.exists() else os.devnull for name, path in paths.items()},
        "KIT_SECRETS_MARK": _mark(paths[name] for name in names(Destination.MONITOR)),
        "KIT_PUSH_MARK": _mark(paths[name] for name in names(Destination.MASTER)),
    }


def _mark(paths: Iterable[Path]) -> str:
    return "-".join(f"{path.stat().st_mtime_ns:x}" for path in paths if path.exists())


def path_of(settings: Settings, name: str) -> Path:
    """Return the path of a secret, whether it exists or not."""
    return settings.state_dir / "secrets" / settings.project / name.lower()


def read(settings: Settings, name: str) -> str:
    """Return a secret; "" if it is not set."""
    path = path_of(settings, name)
    return path.read_text(encoding="utf-8") if path.exists() else ""


def given(settings: Settings, name: str) -> str:
    """Return a secret of this call, else that of the last `up`."""
    return getattr(settings, name.lower()) or read(settings, name)


def replace(path: Path, value: str) -> None:
    """Replace the file. A container that mounts the old file keeps reading the old one."""
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    atomic.write_text(path, value, mode=atomic.READ_BY_CONTAINERS)
