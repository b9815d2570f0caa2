"""`clean` and `purge` on the real engine: images of another checkout or project stay, also if its stack is down."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.commands import down
from sidecar.engine.docker_engine import DockerEngine, Filters, Json, connect
from sidecar.settings import Settings, load
from sidecar.stack import image_users
from tests.integration.stacks import docker

MARK = "kit-test-images"  # in each name, so that nothing of this machine is touched
HELD = f"{MARK}-container"


def user(project: str, checkout: str = "here") -> Settings:
    return load([f"PROJECT={MARK}-{project}"], {}, Path(f"/{MARK}/{checkout}"))


MINE, OTHER, SAME_NAME = user("mine"), user("other"), user("mine", "elsewhere")


def name(image: str) -> str:
    return f"locust-kit/{MARK}:{image}"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerEngine]:
    """The real engine, of which only this test's images and volumes are listed."""
    real = connect(os.environ)
    images, volumes = real.images, real.volumes

    def ours(row: Json) -> bool:
        return MARK in repr((row.get("RepoTags"), row.get("Name"), row.get("Labels")))

    def listed_volumes(filters: Filters) -> list[Json]:
        return [row for row in volumes(filters) if ours(row)]

    monkeypatch.setattr(real, "images", lambda reference: [row for row in images(reference) if ours(row)])
    monkeypatch.setattr(real, "volumes", listed_volumes)
    yield real
    docker("rm", "-f", HELD, check=False)
    for row in images(f"locust-kit/{MARK}"):
        docker("rmi", "-f", *row["RepoTags"], check=False)
    for row in listed_volumes({}):
        docker("volume", "rm", row["Name"], check=False)


def test_images_are_kept_for_every_other_checkout_project_and_container(engine: DockerEngine) -> None:
    for image in ("mine", "nobodys", "shared", "others", "same-name", "held"):
        empty = subprocess.run(["tar", "c", "--files-from", os.devnull], capture_output=True, check=True).stdout
        subprocess.run(["docker", "import", "-", name(image)], input=empty, capture_output=True, check=True)
    docker("tag", name("held"), name("held-too"))
    docker("create", "--name", HELD, name("held"), "none")
    image_users.record(engine, MINE, [name("mine"), name("shared"), "example/own:1"])
    image_users.record(engine, OTHER, [name("shared")])
    image_users.record(engine, OTHER, [name("others")])
    image_users.record(engine, SAME_NAME, [name("same-name")])

    removed, kept, users = down._remove_images(engine, MINE)
    left = {tag for row in engine.images(f"locust-kit/{MARK}") for tag in row["RepoTags"]}
    assert left == {name(image) for image in ("shared", "others", "same-name", "held", "held-too")}
    assert (removed, kept) == (2, 5)
    assert users == [HELD, f"{MARK}-mine (/{MARK}/elsewhere)", f"{MARK}-other (/{MARK}/here)"]

    docker(
        "volume",
        "create",
        "--label",
        "com.docker.compose.volume=ledger",
        "--label",
        f"com.docker.compose.project={MARK}-old",
        f"{MARK}-old_ledger",
    )
    assert down._remove_images(engine, SAME_NAME)[:2] == (0, 5), "a stack of an older version may use every image"
    docker("volume", "rm", f"{MARK}-old_ledger")
    docker("rm", HELD)
    assert down._remove_images(engine, SAME_NAME)[:2] == (3, 2)
    assert down._remove_images(engine, OTHER) == (2, 0, [])
