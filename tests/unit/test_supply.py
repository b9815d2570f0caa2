"""Whatever the kit downloads for an image or a workflow is pinned by a hash of its content."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.paths import ROOT

OURS = "locust-kit/"  # images that this machine builds
CONTEXT = "kit-build"  # a folder that a build gets under this name
DIGEST = re.compile(r"[\w./:-]+:[\w.-]+@sha256:[0-9a-f]{64}")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines()]


def pulled(dockerfile: str) -> list[str]:
    """Return the images that a Dockerfile pulls by itself."""
    defaults = dict(re.findall(r"^ARG (\w+)=(\S*)", dockerfile, re.MULTILINE))
    stages = {CONTEXT, *re.findall(r"^FROM .* AS (\S+)", dockerfile, re.MULTILINE)}
    named = re.findall(r"(?:^FROM(?: --\S+)* |^# *syntax=|\bfrom=)([^,\s]+)", dockerfile, re.MULTILINE)
    images = (re.sub(r"\$\{(\w+)\}", lambda match: defaults.get(match[1], ""), name) for name in named)
    return [image for image in images if image and image not in stages and not image.startswith(OURS)]


def test_a_dockerfile_pulls_nothing_without_a_digest() -> None:
    files = tracked("*Dockerfile")
    assert len(files) > 4
    for file in files:
        assert [image for image in pulled(file.read_text()) if not DIGEST.fullmatch(image)] == [], file


@pytest.mark.parametrize(
    "line",
    [
        "FROM debian:trixie-slim",
        "ARG A=debian:13\nFROM ${A} AS x",
        "COPY --from=alpine / /",
        "RUN --mount=type=bind,from=alpine,target=/a true",
    ],
)
def test_a_pull_by_tag_is_seen(line: str) -> None:
    assert pulled(f"ARG BASE\nFROM ${{BASE}} AS own\n{line}\nFROM own") != []


def test_the_base_of_every_image_is_pinned_in_one_place() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    arguments = [
        service["build"]["args"] for service in yaml.safe_load(compose)["services"].values() if "build" in service
    ]
    assert len(arguments) == 4
    for argument in arguments:
        pinned = re.fullmatch(r"\$\{BASE_IMAGE:-(.+)\}", argument["BASE_IMAGE"])
        assert pinned
        assert DIGEST.fullmatch(pinned[1])
    places = [file.name for file in tracked("docker*", "scripts") if "@sha256:" in file.read_text(errors="replace")]
    assert places == ["docker-compose.yml"]


@pytest.mark.parametrize("file", tracked("*requirements.txt"), ids=lambda file: file.parent.name)
def test_every_package_of_the_kit_has_a_version_and_a_hash(file: Path) -> None:
    if "users_files" in file.parts:
        return
    lines = re.sub(r" *#.*", "", file.read_text()).replace("\\\n", " ").split("\n")
    packages = [line for line in lines if line.strip()]
    assert packages
    assert [line for line in packages if not re.match(r"[\w.\[\]-]+==\S+.* --hash=sha256:[0-9a-f]{64}", line)] == []


@pytest.mark.parametrize("image", ["locust", "monitor", "mock-target"])
def test_the_tests_use_the_versions_of_the_images(image: str) -> None:
    """So scripts/audit checks one lock file for all of them."""
    pins = [
        set(re.findall(r"^([\w.-]+==[^\s;]+)", (ROOT / folder / "requirements.txt").read_text(), re.MULTILINE))
        for folder in (f"docker/{image}", "tests")
    ]
    assert pins[0] <= pins[1]


@pytest.mark.parametrize("file", ["docker/build/pip-venv", "scripts/setup.d/venv.sh", "scripts/docs.py"])
def test_every_install_of_the_kit_checks_hashes(file: str) -> None:
    text = (ROOT / file).read_text().replace("\\\n", " ")
    assert text.count("--require-hashes") == len(re.findall(r"(?:-r|--requirement)\b", text))


@pytest.mark.parametrize("file", tracked(".github/workflows", "docs/ci"), ids=lambda file: file.name)
def test_a_workflow_uses_actions_by_commit(file: Path) -> None:
    uses = re.findall(r"uses: (\S+)(.*)", file.read_text())
    assert uses
    assert [name for name, version in uses if not re.search(r"@[0-9a-f]{40}$", name) or "# v" not in version] == []
