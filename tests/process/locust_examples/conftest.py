"""What all runs of Locust's examples share: certificates, and the packages that examples import."""

from __future__ import annotations

import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.process.plugin.https_servers import Authority, showing

collect_ignore = ["files"]
NAMES = ("postman-echo.com", "www.locust.io", "google.com", "microsoft.com", "facebook.com", "example.com")
PACKAGES = (Path(__file__).parent / "packages.txt").read_text().split()
PLUGINS = ("locust-plugins==5.0.3",)


@dataclass(frozen=True)
class World:
    """Folders of packages, and the certificate of the stand-ins."""

    packages: Path
    locust_plugins: Path  # apart: each Locust that finds it imports it
    ca: str
    context: ssl.SSLContext


def installed(folder: Path, *packages: str) -> Path:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--target", str(folder)]
    subprocess.run([*command, *packages], check=True, capture_output=True, timeout=900)
    return folder


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("examples")
    authority = Authority(folder)
    certificate = authority.signed("target", ",".join(f"DNS:{name}" for name in NAMES))
    return World(
        installed(folder / "packages", *PACKAGES),
        installed(folder / "plugins", *PLUGINS),
        authority.path,
        showing(certificate),
    )
