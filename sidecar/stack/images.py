"""Find and build stale images. An image is stale if its label does not have the hash of its inputs."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sidecar.common.console import Console
from sidecar.common.errors import KitError, StackError
from sidecar.engine.docker_engine import DockerEngine
from sidecar.settings import Settings
from sidecar.stack import requirements
from sidecar.stack.compose import Compose, explain
from sidecar.stack.docker_command import csv_line, installed
from sidecar.stack.requirements import Requirements

LABEL = "io.locust-kit.inputs"
_TAIL_LINES = 15
_FAILED_STEP = re.compile(r"#(\d+) ERROR: ")
_IGNORED_FOLDERS = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"})
_BUILD_TIMEOUT_SECONDS = 1800


@dataclass(frozen=True)
class Image:
    """One image of the kit: its name, the Compose service that builds it, and the paths of its inputs."""

    key: str
    service: str
    sources: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return its local name."""
        return f"locust-kit/{self.key}:local"


IMAGES: Mapping[str, Image] = {
    image.key: image
    for image in (
        Image("locust", "locust-master", ("docker/locust", "docker/build", "locustfiles/locust_kit")),
        Image("monitor", "monitor", ("docker/monitor", "docker/build", "sidecar")),
        Image("docker-proxy", "docker-proxy", ("docker/docker-proxy", "docker/build")),
        Image("mock-target", "mock-target", ("docker/mock-target", "docker/build")),
    )
}


def inputs_hash(root: Path, image: Image, base_image: str) -> str:
    """Return the SHA-256 of an image's inputs: paths, bytes, execute bits and the base image."""
    digest = hashlib.sha256(f"base {base_image}\n".encode())
    for path in _files(root, image.sources):
        relative = path.relative_to(root).as_posix()
        executable = path.stat().st_mode & 0o100
        digest.update(f"{relative} {executable} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _files(root: Path, sources: Sequence[str]) -> list[Path]:
    return sorted(
        path
        for source in sources
        for path in (root / source).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not _IGNORED_FOLDERS.intersection(path.parts)
    )


def all_hashes(settings: Settings) -> dict[str, str]:
    """Return the hash of each image's inputs, by key."""
    return {key: inputs_hash(settings.root, image, settings.base_image) for key, image in IMAGES.items()}


def stale(engine: DockerEngine, hashes: Mapping[str, str], keys: Sequence[str]) -> list[Image]:
    """Return the named images that are missing or were built from other inputs."""
    return [IMAGES[key] for key in keys if _label(engine, IMAGES[key].name) != hashes[key]]


def _label(engine: DockerEngine, name: str) -> str | None:
    labels = ((engine.image(name) or {}).get("Config") or {}).get("Labels") or {}
    return labels.get(LABEL)


def build(compose: Compose, images: Sequence[Image], log: Path, console: Console) -> None:
    """Build images in parallel in one call; the whole output goes to `log`.

    Raises:
        StackError: a build failed. Its last lines were printed.

    """
    command = compose.command("--profile", "mock", "--progress", "plain", "build", *(image.service for image in images))
    _run_build(command, compose.env, log, console)


def requirements_tag(asked: Requirements, base_id: str) -> str:
    """Return the name of the image with the user's requirements. It changes with the file and the base image."""
    digest = hashlib.sha256(f"{asked.digest} {base_id}".encode()).hexdigest()
    return f"locust-kit/locust:req-{digest[:12]}"


def build_requirements(
    settings: Settings, env: Mapping[str, str], asked: Requirements, base: str, tag: str, console: Console
) -> None:
    """Build the user's requirements on top of a Locust image."""
    secrets = settings.state_dir / "build"
    named = {"apt_sources": "apt.sources", "apt_conf": "apt.conf", "pip_conf": "pip.conf", "ca_bundle": "ca.crt"}
    flags = [
        flag for name, file in named.items() for flag in ("--secret", csv_line(f"id={name}", f"src={secrets / file}"))
    ]
    with tempfile.TemporaryDirectory(prefix="locust-kit-") as context:
        first = asked.write(Path(context))
        command = [
            *("docker", "buildx", "build", "--progress", "plain", "--load", "--build-arg", f"BASE={base}"),
            *("--build-arg", f"REQUIREMENTS={first}", "--build-arg", f"CHOSEN={' '.join(asked.chosen)}"),
            *("--build-context", f"kit-build={settings.root / 'docker' / 'build'}", *flags),
            *("-f", str(settings.root / "docker" / "locust" / "requirements.Dockerfile"), "-t", tag, context),
        ]
        locked = requirements.locked(settings)
        _run_build(
            command,
            env,
            settings.state_dir / "build-requirements.log",
            console,
            lambda pip: requirements.in_one_line(pip, asked, locked),
        )


@installed()
def _run_build(
    command: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    console: Console,
    why: Callable[[Sequence[str]], str] = lambda _: "",
) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        try:
            code = subprocess.run(
                command,
                env=dict(env),
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                check=False,
                timeout=_BUILD_TIMEOUT_SECONDS,
            ).returncode
        except subprocess.TimeoutExpired:
            raise StackError(f"the build took more than {_BUILD_TIMEOUT_SECONDS} s", where=str(log)) from None
    if code:
        raise _build_error(log, console, why)


def _build_error(log: Path, console: Console, why: Callable[[Sequence[str]], str]) -> KitError:
    text = log.read_text(encoding="utf-8", errors="replace")
    known = explain(text, "build")
    lines = failed_step(text.splitlines())
    console.line()
    for line in lines[-_TAIL_LINES:]:
        console.line(f"    {line}")
    if known.fix:
        return known
    if reason := why(lines):
        return StackError(f"pip could not install requirements.txt: {reason}", where=f"all of it: {log}")
    return StackError("the images could not be built; the last lines of the build are above", where=f"all of it: {log}")


def failed_step(output: Sequence[str]) -> list[str]:
    """Return the output of the failed step; all lines if no step reports a failure."""
    failed = [match[1] for line in output if (match := _FAILED_STEP.match(line))]
    own = re.compile(rf"#{failed[-1]} [\d.]+ ?(.*)" if failed else "(.*)")
    return [match[1] for line in output if (match := own.match(line)) and (failed or line.strip())]
