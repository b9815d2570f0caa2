"""Build the kit's images that are missing or stale, once, before tests that need them run side by side."""

from __future__ import annotations

import os

from sidecar.commands import up
from sidecar.common.console import Console
from sidecar.engine.docker_engine import connect
from sidecar.stack import images, workspace
from tests.paths import ROOT


def build() -> None:
    """Build them with the settings of this machine."""
    settings = workspace.settings_for_up([], os.environ, ROOT)
    builder = up.ImageBuilder(settings, connect(os.environ), os.environ, Console(), images.all_hashes(settings))
    builder.build(list(images.IMAGES))


if __name__ == "__main__":
    build()
