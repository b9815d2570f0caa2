"""The secrets of a stack, as files that docker-compose.yml mounts: what is in an environment, `docker inspect` shows.

The folder is closed to everyone else on this machine; a file in it is not, because the sidecar's own user, who is
nobody here, reads it through the mount, which asks only for the file's own mode.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sidecar.settings import Settings

_VARIABLES = {"ALERT_URLS": "KIT_ALERT_URLS_FILE", "LOCUST_WEB_PASSWORD": "KIT_LOCUST_WEB_PASSWORD_FILE"}


def write(settings: Settings) -> None:
    """Write the secrets of this call where the sidecar finds them; one that is not given any more is removed."""
    for name, value in (
        ("ALERT_URLS", "\n".join(settings.alert_urls)),
        ("LOCUST_WEB_PASSWORD", settings.locust_web_password),
    ):
        path = _path(settings, name)
        if not value:
            path.unlink(missing_ok=True)
        elif not path.exists() or path.read_text(encoding="utf-8") != value:
            _replace(path, value)


def forget(settings: Settings) -> None:
    """Remove them all."""
    for name in _VARIABLES:
        _path(settings, name).unlink(missing_ok=True)


def environment(settings: Settings) -> dict[str, str]:
    """What docker-compose.yml needs to know of them: where each one is, and a mark that changes when one does.

    The mark stands in the sidecar's environment, so that Compose makes a new container for a new secret.
    """
    there = {variable: _path(settings, name) for name, variable in _VARIABLES.items()}
    marks = [f"{path.stat().st_mtime_ns:x}" for path in there.values() if path.exists()]
    named = {variable: str(path) if path.exists() else os.devnull for variable, path in there.items()}
    return {**named, "KIT_SECRETS_MARK": "-".join(marks)}


def _path(settings: Settings, name: str) -> Path:
    return settings.state_dir / "secrets" / settings.project / name.lower()


def _replace(path: Path, value: str) -> None:
    """Put a new file in the old one's place: a container that still mounts the old one keeps reading that."""
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(value, encoding="utf-8")
    draft.chmod(0o644)
    draft.replace(path)
