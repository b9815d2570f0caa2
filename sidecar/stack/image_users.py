"""The checkouts and projects that use the kit's images, recorded on the engine, where the record outlives `down`.

Each checkout has one empty volume for each of its projects. The labels of this volume are the record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.engine.docker_engine import DockerEngine, Json
from sidecar.engine.labels import PROJECT_LABEL
from sidecar.settings import Settings
from sidecar.stack.docker_command import docker, printed

_CHECKOUT, _PROJECT, _IMAGES = (f"io.locust-kit.{name}" for name in ("checkout", "project", "images"))
_OF_A_STACK = "com.docker.compose.volume=ledger"  # every stack that `up` started has this volume


@dataclass(frozen=True)
class ImageUser:
    """One project of one checkout, and its images; None if they are not recorded, so it may use every image."""

    text: str
    images: frozenset[str] | None


def record(engine: DockerEngine, settings: Settings, names: Iterable[str]) -> None:
    """Add images to the record of this checkout's project."""
    name = _volume(settings)
    known = {image for row in _records(engine) if row["Name"] == name for image in row["Labels"][_IMAGES].split()}
    if not known.issuperset(used := {image for image in names if image.startswith("locust-kit/")}):
        replace(settings, known | used)


def replace(settings: Settings, names: Iterable[str]) -> None:
    """Record that this checkout's project uses only these images."""
    forget(settings)
    values = {_CHECKOUT: str(settings.root), _PROJECT: settings.project, _IMAGES: " ".join(sorted(names))}
    labels = [part for label, value in values.items() for part in ("--label", f"{label}={value}")]
    printed("volume", "create", *labels, _volume(settings), what="recording the images of this stack")


def forget(settings: Settings) -> None:
    """Delete the record of this checkout's project."""
    docker("volume", "rm", "--force", _volume(settings))


def others(engine: DockerEngine, settings: Settings) -> list[ImageUser]:
    """Return all users of images on this engine except this checkout's project."""
    records = [row for row in _records(engine) if row["Name"] != _volume(settings)]
    known = {settings.project, *(row["Labels"][_PROJECT] for row in records)}
    stacks = {row["Labels"].get(PROJECT_LABEL, "") for row in engine.volumes({"label": [_OF_A_STACK]})}
    return [
        *(
            ImageUser(
                f"{row['Labels'][_PROJECT]} ({row['Labels'][_CHECKOUT]})", frozenset(row["Labels"][_IMAGES].split())
            )
            for row in records
        ),
        *(ImageUser(project, None) for project in sorted(stacks - known)),
    ]


def _records(engine: DockerEngine) -> list[Json]:
    return [row for row in engine.volumes({"label": [_IMAGES]}) if {_CHECKOUT, _PROJECT} <= row["Labels"].keys()]


def _volume(settings: Settings) -> str:
    digest = hashlib.sha256(f"{settings.root}\n{settings.project}".encode()).hexdigest()
    return f"locust-kit-images-{digest[:16]}"
