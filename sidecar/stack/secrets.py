"""The secrets of a stack, as files that docker-compose.yml mounts: what is in an environment, `docker inspect` shows.

The folder is closed to everyone else on this machine; a file in it is not, because a container's own user, who is
nobody here, reads it through the mount, which asks only for the file's own mode.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sidecar.common import atomic
from sidecar.settings import SETTINGS, Destination, Settings

_OF_A_CLUSTER = ("CLUSTER_TOKEN", "NOTHING")


def names(destination: Destination | None = None) -> list[str]:
    """Return the names of the settings that are secrets of a container; with a destination, of those that go there."""
    return [
        name
        for name, setting in SETTINGS.items()
        if setting.secret and setting.to and (destination is None or destination in setting.to)
    ]


def write(settings: Settings) -> None:
    """Write the secrets of this call where the containers find them; one that is not given any more is removed."""
    for name in names():
        path, value = path_of(settings, name), getattr(settings, name.lower())
        text = value if isinstance(value, str) else "\n".join(value)
        if not text:
            path.unlink(missing_ok=True)
        elif read(settings, name) != text:
            replace(path, text)


def forget(settings: Settings) -> None:
    """Remove them all."""
    for name in (*names(), *_OF_A_CLUSTER):
        path_of(settings, name).unlink(missing_ok=True)


def environment(settings: Settings) -> dict[str, str]:
    """Return what docker-compose.yml needs to know: where each secret is, and marks that change when one does.

    A mark stands in a container's environment, so that Compose makes a new one for a new secret. The master has a mark
    of its own: a run is not ended for an address of alerts.
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
    """Return where a secret lies, or would."""
    return settings.state_dir / "secrets" / settings.project / name.lower()


def read(settings: Settings, name: str) -> str:
    """Return a secret; "" when there is none."""
    path = path_of(settings, name)
    return path.read_text(encoding="utf-8") if path.exists() else ""


def replace(path: Path, value: str) -> None:
    """Put a new file in the old one's place: a container that still mounts the old one keeps reading that."""
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    atomic.write_text(path, value, mode=0o644)
