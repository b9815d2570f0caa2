"""`try`: one user of each class, each task once, each request printed; needs no running stack."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sidecar.commands import up
from sidecar.commands.up import ImageBuilder
from sidecar.common.console import Console
from sidecar.engine.docker_engine import connect
from sidecar.settings import Settings
from sidecar.stack import images, locustfile, requirements, workspace
from sidecar.stack.compose import Decided, write_env_file


def try_once(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Try the locustfile in a container of its own; return 0 when each request succeeded, 1 when one did not.

    Raises:
        KitError: the locustfile cannot run, or has no target.

    """
    locustfile.check(locustfile.sources(settings), settings.locustfiles_dir)
    requirements.read(settings)
    engine = connect(environ)
    workspace.refuse_foreign(engine.containers(settings.project), settings)
    write_env_file(settings)
    builder = ImageBuilder(settings, engine, environ, console, images.all_hashes(settings))
    if not settings.locust_image:
        _build(builder, "locust")
    image = builder.with_requirements()
    likely = up.may_need_mock(settings)
    if likely:
        _build(builder, "mock-target")
    compose = workspace.compose_for(settings, Decided(mock=True, inputs=builder.inputs), environ)
    name = f"{settings.project}-try-{os.getpid()}"
    services = {container.service for container in engine.containers(settings.project)}
    then = ["true"]  # what this call started, and nothing else, goes again
    if not services:
        then = compose.command("--profile", "*", "down")
    elif "mock-target" not in services:
        then = compose.command("--profile", "mock", "rm", "--stop", "--force", "mock-target")
    with _removed_afterwards(name, then, compose.env):
        checked = up.check_in_image(settings, engine, image, console, compose if likely else None)
        destination = up.decide_target(settings, checked)
        console.note(f"target: {destination.shown}")
        compose = workspace.compose_for(
            settings,
            Decided(destination.host, destination.mock, image, workspace.decided(settings).proxy_user, builder.inputs),
            environ,
        )
        if destination.mock:
            _build(builder, "mock-target")
            compose.run("up", "--detach", "--no-build", "--no-recreate", "--wait", "mock-target")
        flags = ("--rm", "--no-deps", "--no-TTY", "--name", name, "--label", "io.locust-kit.role=try")
        return compose.attach("run", *flags, "locust-worker", "try")


@contextmanager
def _removed_afterwards(name: str, then: Sequence[str], env: Mapping[str, str]) -> Iterator[None]:
    """Remove the container, and do what comes `then`, once the block is over or this process is gone, killed or not."""
    # Twice: Compose fails where a container goes while it looks, as one does whose `run` was killed.
    script = 'cat; docker rm --force "$0"; "$@" || { sleep 2; exec "$@"; }'
    remover = subprocess.Popen(
        ["sh", "-c", script, name, *then],
        env=dict(env),
        stdin=subprocess.PIPE,  # it ends with this process
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C goes to all of a terminal's processes
    )
    try:
        yield
    finally:
        remover.communicate()


def _build(builder: ImageBuilder, key: str) -> None:
    if old := images.stale(builder.engine, builder.inputs, [key]):
        with builder.console.step("images", f"building {key}"):
            builder.build_all(old)
