"""What is in the kit's real images: only what they need, no way to another user, nothing of this machine."""

from __future__ import annotations

import functools
import json
import re
import subprocess
from importlib import metadata

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sidecar.stack.images import IMAGES
from sidecar.stack.requirements import normal
from tests.integration._containers import need_image, run_docker
from tests.integration.images import build
from tests.paths import ROOT

# Compilers, installers, clients and debuggers: what somebody who gets into a container would look for first.
TOOLS = "gcc cc g++ ld make pip pip3 uv curl wget git ssh nc ncat socat gdb strace tcpdump sudo mypy ruff"
LOOK = f"""
find / -xdev -type f -perm /6000 | sed 's/^/setuid /'
for tool in {TOOLS}; do command -v $tool | sed 's/^/tool /'; done
find / -xdev -name '*.dist-info' -printf 'package %f\\n' | sed 's/-[0-9].*//'
find / -xdev \\( -name ensurepip -o -name 'gcc-*' \\) -type d -not -path '*/share/*' | sed 's/^/tool /'
find /run/secrets /var/lib/apt/lists /var/cache/apt /root -type f -not -name '.[bp]*' 2>/dev/null | sed 's/^/rest /'
"""


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    build()


@functools.cache
def inside(key: str) -> dict[str, list[str]]:
    """Return what a look into an image found, by kind."""
    image = need_image(IMAGES[key].name)
    found: dict[str, list[str]] = {}
    options = ("--rm", "--network", "none", "--user", "0:0", "--entrypoint", "sh")
    for line in run_docker("run", *options, image, "-c", LOOK).splitlines():
        kind, _, value = line.partition(" ")
        found.setdefault(kind, []).append(value)
    return found


@pytest.mark.parametrize("key", IMAGES)
def test_no_file_of_an_image_is_setuid_or_setgid(key: str) -> None:
    assert inside(key).get("setuid", []) == []


@pytest.mark.parametrize("key", IMAGES)
def test_an_image_has_no_compiler_no_installer_and_no_client(key: str) -> None:
    assert inside(key).get("tool", []) == []


@pytest.mark.parametrize("key", IMAGES)
def test_an_image_has_the_packages_of_its_lock_file_and_no_test_tool(key: str) -> None:
    lock = ROOT / "docker" / key / "requirements.txt"
    locked = set(re.findall(r"^([\w.-]+)==", lock.read_text(), re.MULTILINE)) if lock.exists() else set()
    installed = {normal(name) for name in inside(key).get("package", [])}
    assert installed <= {normal(name) for name in locked}
    # Locust requires pytest itself: it loads locustfiles that are written as pytest functions.
    needed = (
        {re.split(r"[<>=;\[ ]", text)[0] for text in metadata.requires("locust") or ()} if key == "locust" else set()
    )
    assert (
        installed & {"pytest", "pytest-xdist", "hypothesis", "selenium", "mypy", "ruff", "pip", "setuptools"} <= needed
    )


@pytest.mark.parametrize("key", IMAGES)
def test_an_image_has_no_root_process_and_no_trace_of_its_build(key: str) -> None:
    image = need_image(IMAGES[key].name)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", run_docker("inspect", "--format", "{{.Config.User}}", image))
    assert inside(key).get("rest", []) == []
    history = run_docker("history", "--no-trunc", image) + run_docker("inspect", image)
    settings = [
        value
        for file in (ROOT / ".locust-kit/build").iterdir()
        if file.suffix != ".crt"
        for value in re.findall(r"https?://[^\s\"]+", file.read_text())
    ]
    assert [value for value in settings if value in history] == []


@functools.cache
def bill(key: str) -> str:
    """Return an image's bill of materials, made by scripts/sbom."""
    image = need_image(IMAGES[key].name)
    done = subprocess.run([ROOT / "scripts/sbom", image], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return (ROOT / done.stdout.strip()).read_text()


@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=() if key == "locust" else pytest.mark.long) for key in IMAGES]
)
def test_the_bill_of_materials_names_every_package_of_an_image(key: str) -> None:
    components: list[dict[str, str]] = json.loads(bill(key))["components"]
    python = {normal(part["name"]) for part in components if part.get("purl", "").startswith("pkg:pypi/")}
    assert python == {normal(name) for name in inside(key).get("package", [])}
    debian = {f"{part['name']} {part['version']}" for part in components if part.get("purl", "").startswith("pkg:deb/")}
    query = ("-W", "-f", "${Package} ${Version}\\n")
    listed = run_docker("run", "--rm", "--network", "none", "--entrypoint", "dpkg-query", IMAGES[key].name, *query)
    assert set(listed.splitlines()) <= debian


@pytest.mark.long
@pytest.mark.parametrize("key", IMAGES)
def test_the_bill_of_materials_is_valid_cyclonedx(key: str) -> None:
    assert not list(JsonStrictValidator(SchemaVersion.V1_7).validate_str(bill(key), all_errors=True) or [])
