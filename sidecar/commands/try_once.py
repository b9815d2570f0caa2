"""`try`: run one user of each class, each task once, and print each request; it needs no running stack."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from sidecar.commands import up
from sidecar.commands.up import ImageBuilder
from sidecar.common.console import Console
from sidecar.engine.docker_engine import connect
from sidecar.settings import Settings
from sidecar.stack import image_users, images, locustfile, requirements, temporary, workspace
from sidecar.stack.compose import Decided, write_env_file


def try_once(settings: Settings, environ: Mapping[str, str], console: Console) -> int:
    """Try the locustfile in a container of its own; return 0 if each request succeeded, else 1.

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
    with temporary.removed_afterwards(settings, engine, compose, name):
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
        return compose.print_plain("--ansi", "never", "run", *flags, "locust-worker", "try", out=sys.stdout)


def _build(builder: ImageBuilder, key: str) -> None:
    image_users.record(builder.engine, builder.settings, [images.IMAGES[key].name])
    if old := images.stale(builder.engine, builder.inputs, [key]):
        with builder.console.step("images", f"building {key}"):
            builder.build_all(old)
