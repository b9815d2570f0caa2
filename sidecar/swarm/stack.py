"""Deploy with `docker stack`: the stack file, its environment and its secrets."""

from __future__ import annotations

import json
import os
import re
import secrets as random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sidecar.common import atomic
from sidecar.common.errors import SettingError, StackError
from sidecar.engine.swarm_manager import SwarmState
from sidecar.settings import Settings
from sidecar.stack import compose, secrets, workspace
from sidecar.stack.compose import Decided
from sidecar.stack.docker_command import printed

_DEPLOY_SECONDS = 180.0
_TOKEN_BYTES = 24
_KEYS = {
    "locust-master": "locust",
    "locust-worker": "locust",
}  # the image of a service if its name differs from the service's
# Swarm rejects or silently drops these; docker/stack.yml has the replacements.
_NOT_FOR_SWARM = (
    *("build", "depends_on", "env_file", "extra_hosts", "memswap_limit"),
    *("network_mode", "profiles", "pull_policy", "restart", "security_opt"),
)
_TMPFS = re.compile(r"(?P<target>[^:]+):size=(?P<mebibytes>\d+)m\b")
_PORT = re.compile(r"127\.0\.0\.1:(?P<published>.+):(?P<target>\d+)")
_LOCUSTFILES = "/mnt/locust"  # a folder that only one machine has; the nodes get an archive instead


@dataclass(frozen=True, slots=True)
class Content:
    """The content for the nodes: the images' names there, and the archive of locustfiles with its mark."""

    images: Mapping[str, str]
    archive: Path
    mark: str


def render(root: Path) -> str:
    """Return the stack file: docker-compose.yml in the form that Swarm accepts, merged with docker/stack.yml.

    It is JSON, which is valid YAML. `docker stack` fills in the variables.
    """
    base = yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))
    services = {name: _for_swarm(service) for name, service in base["services"].items()}
    mounted = {secret for service in services.values() for secret in service.get("secrets", ())}
    document = {
        "services": services,
        "networks": base["networks"],
        "volumes": base["volumes"],
        "secrets": {name: secret for name, secret in base["secrets"].items() if name in mounted},
    }
    overlay = yaml.safe_load((root / "docker" / "stack.yml").read_text(encoding="utf-8"))
    merged = _overlaid(document, {name: part for name, part in overlay.items() if not name.startswith("x-")})
    return json.dumps(merged, indent=1, ensure_ascii=False) + "\n"


def _for_swarm(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service without the keys that Swarm cannot use, with tmpfs and ports in Swarm's form."""
    made = {name: value for name, value in service.items() if name not in _NOT_FOR_SWARM}
    tmpfs = [match for text in made.pop("tmpfs", ()) if (match := _TMPFS.match(text))]
    volumes = [
        volume for volume in made.get("volumes", ()) if not isinstance(volume, dict) or volume["target"] != _LOCUSTFILES
    ]
    made["volumes"] = volumes + [
        {"type": "tmpfs", "target": match["target"], "tmpfs": {"size": int(match["mebibytes"]) << 20}}
        for match in tmpfs
    ]
    ports = [match for text in made.pop("ports", ()) if (match := _PORT.fullmatch(text))]
    if ports:
        made["ports"] = [
            {"target": int(match["target"]), "published": match["published"], "mode": "host"} for match in ports
        ]
    return made


def _overlaid(base: Any, over: Any) -> Any:  # noqa: ANN401  any part of a YAML document
    """Return `base` merged with `over`: mappings are merged, lists appended, and a null removes a key."""
    if isinstance(base, dict) and isinstance(over, dict):
        merged = {name: _overlaid(base.get(name), part) for name, part in over.items() if part is not None}
        return {**{name: part for name, part in base.items() if name not in over}, **merged}
    return [*base, *over] if isinstance(base, list) and isinstance(over, list) else over


def token(settings: Settings) -> str:
    """Return the cluster's token. It is created once and stored like the other secrets."""
    path = secrets.path_of(settings, "CLUSTER_TOKEN")
    if not path.exists():
        secrets.replace(path, random.token_urlsafe(_TOKEN_BYTES))
    return path.read_text(encoding="utf-8")


def environment(settings: Settings, decided: Decided, content: Content, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of one `docker stack deploy`."""
    filled = compose.environment(settings, decided, environ, workspace.url_inside(settings))
    images = {f"KIT_IMAGE_{key.upper().replace('-', '_')}": name for key, name in content.images.items()}
    return {
        **filled,
        **images,
        "WORKERS": str(settings.workers),
        "KIT_ENV_FILE": str(_env_file(settings)),
        "KIT_FILES_ARCHIVE": str(content.archive),
        "KIT_FILES_MARK": content.mark,
        "KIT_MOCK_REPLICAS": str(int(decided.mock)),
        "KIT_MASTER_CONSTRAINT": f"node.hostname == {settings.swarm_master_node}"
        if settings.swarm_master_node
        else "node.platform.os == linux",
        **_secrets(settings),
    }


def _env_file(settings: Settings) -> Path:
    """Write the variables that the containers get from .env files: this checkout's LOCUST_*, then the user's own."""
    path = settings.state_dir / "state" / f"{settings.project}.swarm.env"
    path.parent.mkdir(parents=True, exist_ok=True)
    given = {**settings.passthrough, **workspace.user_env(settings)}
    for name, value in given.items():
        if "\n" in value:
            raise SettingError(
                f"{name} has more than one line", wanted="one line, because `docker stack` reads only one"
            )
    # Without quotes: unlike Compose, `docker stack` takes quotes as part of the value.
    atomic.write_text(path, "".join(f"{name}={value}\n" for name, value in sorted(given.items())))
    return path


def _secrets(settings: Settings) -> dict[str, str]:
    """Return the path of each secret, and a mark that changes with it. An empty secret becomes an empty line."""
    token(settings)
    empty = secrets.path_of(settings, "NOTHING")
    if not empty.exists():
        secrets.replace(empty, "\n")
    variables = {}
    for name in (*secrets.names(), "CLUSTER_TOKEN"):
        path = secrets.path_of(settings, name)
        there = path if path.exists() else empty
        variables[f"KIT_{name}_FILE"] = str(there)
        mark = f"{there.stat().st_mtime_ns:x}" if path.exists() else "none"
        variables["KIT_TOKEN_MARK" if name == "CLUSTER_TOKEN" else f"KIT_{name}_MARK"] = mark
    return variables


def deploy(settings: Settings, env: Mapping[str, str]) -> None:
    """Create or update the stack. Return before the tasks run."""
    rendered = settings.state_dir / "state" / f"{settings.project}.stack.yml"
    atomic.write_text(rendered, render(settings.root))
    files = [rendered]
    if settings.swarm_encrypted:
        files.append(settings.root / "docker" / "stack-encrypted.yml")
    flags = [part for path in files for part in ("--compose-file", str(path))]
    # The nodes have the images, or know the registry, so Docker must not ask a registry for digests.
    resolve = (
        ("--resolve-image", "always", "--with-registry-auth") if settings.registry else ("--resolve-image", "never")
    )
    printed(
        "stack",
        "deploy",
        "--detach=true",
        "--prune",
        *resolve,
        *flags,
        settings.project,
        what="docker stack deploy",
        seconds=_DEPLOY_SECONDS,
        env={**os.environ, **env},
    )


def put_images_right(settings: Settings, fleet: SwarmState, images: Mapping[str, str]) -> None:
    """Give each service the image that it was deployed with.

    If somebody changed a service's image since, `docker stack deploy` keeps that image as long as the stack file itself
    did not change.
    """
    for service in fleet.services:
        wanted = images[_KEYS.get(service.name, service.name)]
        if service.image.partition("@")[0] != wanted:
            name = f"{settings.project}_{service.name}"
            printed(
                *("service", "update", "--detach", "--no-resolve-image", "--image", wanted, name),
                what=f"giving {service.name} its image",
            )


def remove_replaced(settings: Settings) -> None:
    """Remove configs and secrets of earlier deploys. Swarm keeps the ones that a task still uses."""
    label = f"label=com.docker.stack.namespace={settings.project}"
    for kind in ("config", "secret"):
        ids = printed(kind, "ls", "--quiet", "--filter", label, what=f"docker {kind} ls").split()
        for id_ in ids:
            with suppress(StackError):  # in use
                printed(kind, "rm", id_, what=f"docker {kind} rm")
