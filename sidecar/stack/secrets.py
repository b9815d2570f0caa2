"""The secrets of a stack, as files that docker-compose.yml mounts: what is in an environment, `docker inspect` shows.

The folder is closed to everyone else on this machine; a file in it is not, because a container's own user, who is
nobody here, reads it through the mount, which asks only for the file's own mode.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sidecar.settings import Settings

_OF_THE_SIDECAR = {"ALERT_URLS": "KIT_ALERT_URLS_FILE", "LOCUST_WEB_PASSWORD": "KIT_LOCUST_WEB_PASSWORD_FILE"}
_OF_A_CLUSTER = ("CLUSTER_TOKEN", "NOTHING")
_OF_THE_MASTER = {"PUSH_KEY": "KIT_PUSH_KEY_FILE"}


def write(settings: Settings) -> None:
    """Write the secrets of this call where the containers find them; one that is not given any more is removed."""
    for name, value in (
        ("ALERT_URLS", "\n".join(settings.alert_urls)),
        ("LOCUST_WEB_PASSWORD", settings.locust_web_password),
        ("PUSH_KEY", settings.push_key),
    ):
        path = path_of(settings, name)
        if not value:
            path.unlink(missing_ok=True)
        elif not path.exists() or path.read_text(encoding="utf-8") != value:
            replace(path, value)


def forget(settings: Settings) -> None:
    """Remove them all."""
    for name in (*_OF_THE_SIDECAR, *_OF_THE_MASTER, *_OF_A_CLUSTER):
        path_of(settings, name).unlink(missing_ok=True)


def environment(settings: Settings) -> dict[str, str]:
    """What docker-compose.yml needs to know of them: where each one is, and marks that change when one does.

    A mark stands in a container's environment, so that Compose makes a new one for a new secret. The master has a mark
    of its own: a run is not ended for an address of alerts.
    """
    return {
        **_files(settings, _OF_THE_SIDECAR),
        **_files(settings, _OF_THE_MASTER),
        "KIT_SECRETS_MARK": _mark(settings, _OF_THE_SIDECAR),
        "KIT_PUSH_MARK": _mark(settings, _OF_THE_MASTER),
    }


def _files(settings: Settings, variables: Mapping[str, str]) -> dict[str, str]:
    there = {variable: path_of(settings, name) for name, variable in variables.items()}
    return {variable: str(path) if path.exists() else os.devnull for variable, path in there.items()}


def _mark(settings: Settings, variables: Mapping[str, str]) -> str:
    there = (path_of(settings, name) for name in variables)
    return "-".join(f"{path.stat().st_mtime_ns:x}" for path in there if path.exists())


def path_of(settings: Settings, name: str) -> Path:
    """Where a secret lies, or would."""
    return settings.state_dir / "secrets" / settings.project / name.lower()


def replace(path: Path, value: str) -> None:
    """Put a new file in the old one's place: a container that still mounts the old one keeps reading that."""
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(value, encoding="utf-8")
    draft.chmod(0o644)
    draft.replace(path)
