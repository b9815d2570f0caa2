"""The base image is pulled by its digest, from a registry that changes what its tag means."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.integration._containers import run_docker, succeeds
from tests.paths import ROOT

NAME, TAG = "debian", "trixie-slim"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry(ThreadingHTTPServer):
    """Serves images of one file, by tag and by digest."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[str, bytes]] = {}
        super().__init__(("127.0.0.1", 0), Answers)

    def publish(self, content: str) -> str:
        """Let the tag mean an image with this content from now on; return the digest of its index."""
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            entry = tarfile.TarInfo("content")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
        layer = self._part("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress(tar.getvalue()))
        rootfs = {"type": "layers", "diff_ids": [digest_of(tar.getvalue())]}
        platform = {"os": "linux", "architecture": run_docker("version", "--format", "{{.Server.Arch}}")}
        config = self._part("application/vnd.oci.image.config.v1+json", as_json({**platform, "rootfs": rootfs}))
        manifest = self._part(MANIFEST, as_json({"schemaVersion": 2, "config": config, "layers": [layer]}))
        index = self._part(
            INDEX, as_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**manifest, "platform": platform}]})
        )
        self.stored[TAG] = self.stored[str(index["digest"])]
        return str(index["digest"])

    def _part(self, kind: str, content: bytes) -> dict[str, object]:
        self.stored[digest_of(content)] = (kind, content)
        return {"mediaType": kind, "digest": digest_of(content), "size": len(content)}


class Answers(BaseHTTPRequestHandler):
    """The part of the registry's API that a pull uses."""

    server: Registry

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        kind, content = ("application/json", b"{}") if self.path == "/v2/" else self.server.stored.get(name, ("", b""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", digest_of(content))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815  http.server's name

    def log_message(self, *_: object) -> None: ...


def as_json(document: object) -> bytes:
    return json.dumps(document).encode()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def image_removed(name: str) -> Iterator[None]:
    try:
        yield
    finally:
        subprocess.run(["docker", "image", "rm", "-f", name], capture_output=True, timeout=60, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("docker-compose.yml", "scripts/pin-base", "scripts/setup.d/base.sh", "scripts/setup.d/say.sh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def set_up_base(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Let set-up get the base image, on a machine that never built one."""
    script = """
        set -euo pipefail
        root=$PWD state=$PWD host_id=other
        . scripts/setup.d/say.sh; . scripts/setup.d/base.sh
        own_base=kit-test/nothing:here
        base_make
        cat base-image"""
    return subprocess.run(
        ["bash", "-c", script],
        cwd=checkout,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "BASE_IMAGE": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_pinned_base_stays_the_same_when_the_registry_changes_its_tag(registry: Registry, checkout: Path) -> None:
    tag = f"localhost:{registry.server_port}/{NAME}:{TAG}"
    first = registry.publish("first")
    done = subprocess.run([checkout / "scripts/pin-base", tag], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith(f"{tag}@{first} (before: debian:trixie-slim@sha256:")
    assert (checkout / "docker-compose.yml").read_text().count(f":-{tag}@{first}}}") == 1
    registry.publish("second")
    with image_removed(f"{tag}@{first}"), image_removed(tag):
        setup = set_up_base(checkout)
        assert setup.stdout.endswith(f"{tag}@{first}\n"), setup.stderr
        assert run_docker("pull", "-q", tag) == tag
        made = f"FROM {tag}@{first} AS pinned\nFROM {tag}\nCOPY --from=pinned /content /pinned\n"
        files = subprocess.run(
            ["docker", "buildx", "build", "-q", "--output", "type=tar,dest=-", "-f-", checkout],
            input=made.encode(),
            capture_output=True,
            timeout=120,
            check=True,
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(files)) as archive:
            contents = {name: (archive.extractfile(name) or io.BytesIO()).read() for name in ("content", "pinned")}
        assert contents == {"content": b"second", "pinned": b"first"}


def test_a_registry_that_serves_another_image_for_the_digest_is_refused(registry: Registry, checkout: Path) -> None:
    first = registry.publish(f"first, {uuid.uuid4()}")  # the engine pulls no digest that it has
    registry.publish("second")
    registry.stored[first] = registry.stored[TAG]
    compose = checkout / "docker-compose.yml"
    pinned = f"localhost:{registry.server_port}/{NAME}:{TAG}@{first}"
    compose.write_text(re.sub(r"(BASE_IMAGE:-)[^}]+", rf"\g<1>{pinned}", compose.read_text()))
    setup = set_up_base(checkout)
    assert setup.returncode != 0
    assert f"no registry has {pinned}" in setup.stdout
    assert not succeeds("image", "inspect", pinned)
